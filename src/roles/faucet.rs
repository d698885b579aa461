//! Free tokens on a dev chain, so that a new miner can pay its collateral without asking anybody.

use crate::{
    client::{ChainClient, Signer, Wallet, dev_accounts},
    rpc::{ErrorObjectOwned, RpcModule, error},
    types::{Address, Amount, ChainId},
};
use anyhow::Context;
use std::{sync::Arc, time::Duration};

/// What one request gives.
const GIFT_TOKENS: u64 = 1_000;
/// An account that has this much gets nothing.
const ENOUGH_TOKENS: u64 = 100;
/// How long the transfer may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(20);

/// `cess_faucet(address)`: answers the transaction, or null for an account that has enough.
pub fn module(chain: Arc<dyn ChainClient>, chain_id: ChainId) -> anyhow::Result<RpcModule<()>> {
    let last = dev_accounts().pop().context("the dev profile has accounts")?;
    let wallet = Wallet::new(chain, Signer::Ecdsa(last.key), chain_id);
    let mut module = RpcModule::new(wallet);
    module.register_async_method("cess_faucet", |params, wallet, _| async move {
        let (to,): (Address,) = params.parse()?;
        let balance = wallet.chain().balance(to).await.map_err(error::server_error)?;
        if balance >= Amount::tokens(ENOUGH_TOKENS).0 {
            return Ok(None);
        }
        let gift = Amount::tokens(GIFT_TOKENS).0;
        let sent = wallet.send_and_wait(to, gift, Default::default(), FINAL_DEADLINE).await;
        Ok::<_, ErrorObjectOwned>(Some(sent.map_err(error::server_error)?.tx))
    })?;
    Ok(module.remove_context())
}
