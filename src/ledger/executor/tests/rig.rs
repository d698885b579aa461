//! A chain in memory that checks, block by block, what must always hold.

use crate::{
    crypto::{EcdsaKey, SecretKey, native_address},
    ledger::{
        abi::STAKING,
        commitment::{StateCommitment, StateTrie},
        executor::{
            AccessList, BlockEnv, BlockStm, Dispatch, ExecError, Execution, Executor, Replay, Rules, execute_with,
            next_base_fee,
        },
        genesis::{Genesis, GenesisAccount, tests::genesis},
        modules::{self, BEACON_RING},
        native::NativeTx,
        state::{MemoryState, StateDelta, StateView},
        tx::{VerifiedTx, decode_and_recover, sign_eip1559},
    },
    types::{Address, Amount, B256, U256},
};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Bytes, TxKind};
use std::convert::Infallible;

pub const GWEI: u128 = 1_000_000_000;
pub const PROPOSER: Address = Address::repeat_byte(0xbb);

pub struct Rig {
    pub state: MemoryState,
    pub trie: StateTrie,
    pub env: BlockEnv,
    pub dispatch: Dispatch,
}

/// Ethereum account `i`, rich at genesis for 1 to 4.
pub fn key(i: u8) -> EcdsaKey {
    EcdsaKey::from_bytes(&[i; 32]).unwrap()
}

pub fn native_key() -> SecretKey {
    SecretKey::from_bytes(&[5; 32])
}

pub fn native_account() -> Address {
    native_address(&native_key().public())
}

/// A transaction of account `i` with a gas limit of 200,000 and a tip of one gwei.
pub fn tx(i: u8, nonce: u64, to: Option<Address>, value: U256, input: impl Into<Bytes>) -> VerifiedTx {
    let tx = TxEip1559 {
        chain_id: genesis().chain_id,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: to.map_or(TxKind::Create, TxKind::Call),
        value,
        access_list: Default::default(),
        input: input.into(),
    };
    signed(&tx, i)
}

pub fn signed(tx: &TxEip1559, i: u8) -> VerifiedTx {
    decode_and_recover(&sign_eip1559(tx, &key(i)), genesis().chain_id).unwrap()
}

pub fn transfer(i: u8, nonce: u64, to: Address, value: u64) -> VerifiedTx {
    tx(i, nonce, Some(to), U256::from(value), Bytes::new())
}

pub fn native_call(nonce: u64, to: Address, value: u64, data: Vec<u8>) -> VerifiedTx {
    let tx = NativeTx {
        chain_id: genesis().chain_id,
        nonce,
        max_priority_fee: 1_000_000_000,
        max_fee: 10_000_000_000,
        gas_limit: 200_000,
        key: native_key().public(),
        to,
        value: U256::from(value),
        data: data.into(),
    };
    decode_and_recover(&tx.sign(&native_key()), genesis().chain_id).unwrap()
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// A chain whose genesis `change` has edited.
    pub fn with(change: impl FnOnce(&mut Genesis)) -> Self {
        let mut genesis = genesis();
        for account in (1..=4).map(|i| key(i).address()).chain([native_account()]) {
            let rich = GenesisAccount { balance: Amount::tokens(10), ..Default::default() };
            genesis.alloc.insert(account, rich);
        }
        change(&mut genesis);
        let built = genesis.build().unwrap();
        let mut trie = StateTrie::default();
        assert_eq!(trie.apply(&built.delta), built.header.state_root);
        let env = BlockEnv {
            chain_id: genesis.chain_id,
            height: 1,
            time_ms: genesis.time_ms + 250,
            beacon: B256::repeat_byte(0xbe),
            proposer: PROPOSER,
            round: 0,
            parent_hash: built.header.hash_slow(),
            base_fee: built.header.base_fee_per_gas.unwrap(),
            gas_limit: built.header.gas_limit,
            params: genesis.params(),
            rules: Rules::CESS,
        };
        Self { state: MemoryState::from_delta(&built.delta), trie, env, dispatch: modules::dispatch }
    }

    /// Executes a block, checks the invariants and moves on to the next height.
    pub fn block(&mut self, txs: &[VerifiedTx]) -> Execution {
        let run = || execute_with(&self.state, &self.env, txs, self.dispatch).unwrap();
        let (execution, again) = (run(), run());
        assert_eq!(execution, again, "the same block gives the same outcome");
        for (name, outcome) in self.outcomes(txs, &execution.access_list) {
            assert_eq!(outcome.as_ref(), Ok(&execution), "{name} gives the serial outcome");
        }
        assert_eq!(execution.included.len() + execution.skipped.len(), txs.len());
        self.replay(&execution);
        let before = (self.state.supply(), self.staking_totals());
        self.state.apply(&execution.delta);
        let fees = U256::from(self.env.base_fee) * U256::from(execution.gas_used);
        let (minted, burnt) = self.staking_totals();
        let (expected, found) = (before.0 + minted - before.1.0, self.state.supply() + fees + burnt - before.1.1);
        assert_eq!(expected, found, "supply rises by what is minted and falls by fees and what is burnt");
        let root = self.trie.apply(&execution.delta);
        let accounts = self.state.accounts().map(Ok::<_, Infallible>);
        let rebuilt = StateTrie::rebuild(accounts, self.state.slots().map(Ok::<_, Infallible>));
        assert_eq!(root, rebuilt.unwrap().root(), "the trie follows the flat state");
        let header = execution.header(&self.env, root, txs);
        self.env.base_fee = next_base_fee(execution.gas_used, self.env.gas_limit, self.env.base_fee);
        self.env.parent_hash = header.hash_slow();
        self.env.height += 1;
        self.env.time_ms += 250;
        execution
    }

    /// What the executors that are not serial make of a block.
    pub fn outcomes(&self, txs: &[VerifiedTx], list: &AccessList) -> Vec<(&'static str, Result<Execution, ExecError>)> {
        let run = |executor: &dyn Executor| executor.execute(&self.state, &self.env, txs);
        let stm = |threads| BlockStm::with_modules(threads, self.dispatch).unwrap();
        vec![
            ("one thread ahead of turn", run(&stm(1))),
            ("three threads ahead of turn", run(&stm(3))),
            ("running backwards", stm(1).run_backwards(&self.state, &self.env, txs)),
            ("running backwards beside three", stm(4).run_backwards(&self.state, &self.env, txs)),
            ("replay", run(&Replay::with_modules(list.clone(), self.dispatch))),
        ]
    }

    /// Checks that the access list, as another node would get it, leads to the same state.
    fn replay(&self, execution: &Execution) {
        let list = &execution.access_list;
        let received = AccessList::decode(&list.encode(), list.hash()).unwrap();
        assert_eq!(received, *list);
        let replayed = received.replay(&self.state).unwrap();
        let after = |delta: &StateDelta| {
            let mut state = self.state.clone();
            state.apply(delta);
            (state, self.trie.clone().apply(delta))
        };
        assert_eq!(after(&replayed), after(&execution.delta), "the access list says what the block does");
    }

    /// Tokens the staking module has minted and burnt.
    fn staking_totals(&self) -> (U256, U256) {
        (self.slot(STAKING, 1 + BEACON_RING), self.slot(STAKING, 2 + BEACON_RING))
    }

    pub fn balance(&self, address: Address) -> U256 {
        self.state.account(&address).unwrap().map_or(U256::ZERO, |info| info.balance)
    }

    pub fn nonce(&self, address: Address) -> u64 {
        self.state.account(&address).unwrap().map_or(0, |info| info.nonce)
    }

    pub fn slot(&self, address: Address, slot: u64) -> U256 {
        self.state.slot(&address, &U256::from(slot)).unwrap()
    }
}
