//! Reads of the storage market over HTTP.

use super::{
    fake::{FakeChain, miner},
    remote::serve,
};
use crate::client::{ChainError, MinerState, audit_round, miner_detail, miner_details, reward_account};
use crate::ledger::abi::IMiners;
use crate::types::Address;
use alloy_sol_types::SolError;

#[tokio::test]
async fn miners_are_listed_over_several_pages() {
    let chain = FakeChain::new();
    chain.state.lock().miners = (0..401).map(miner).collect();
    let (_node, _server, remote) = serve(&chain);
    let listed = miner_details(&remote).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|miner| miner.name.as_str()).collect();
    let expected: Vec<String> = (0..401).map(|n| miner(n).name).collect();
    assert_eq!(names, expected);
    assert!(listed.iter().all(|miner| miner.state == MinerState::Active && miner.left_at.is_none()));
}

#[tokio::test]
async fn an_unknown_miner_is_none_and_other_reverts_are_errors() {
    let chain = FakeChain::new();
    let account = Address::repeat_byte(1);
    chain.state.lock().reverts_with = Some(IMiners::UnknownMiner { account }.abi_encode().into());
    let (_node, _server, remote) = serve(&chain);
    assert_eq!(miner_detail(&remote, account).await.unwrap(), None);
    for refused in [audit_round(&remote).await.map(drop), reward_account(&remote, account).await.map(drop)] {
        let words = refused.unwrap_err().to_string();
        assert!(words.contains("is not registered"), "{words}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_decode_is_an_error() {
    // The fake chain answers every call with nothing.
    let chain = FakeChain::new();
    let refused = audit_round(chain.as_ref()).await.unwrap_err();
    assert!(matches!(&refused, ChainError::Malformed(words) if words.contains("round()")), "{refused}");
    assert!(matches!(miner_detail(chain.as_ref(), Address::ZERO).await, Err(ChainError::Malformed(_))));
}
