//! Hardhat's `console.log`: calls of an address without code whose data says what to print.
//!
//! Owns the address, the signatures and how values are written. Must not know who prints. Invariant: data that is not a line of a
//! known signature gives no line and no error, for the call itself succeeded.

use crate::{
    ledger::{
        executor::{AccessList, BlockEnv, Call, Checks, Session, Subject, TraceError},
        state::StateView,
        tx::VerifiedTx,
    },
    types::{Address, U256},
};
use alloy_primitives::{Bytes, I256, Selector, address, keccak256};
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::geth::{CallFrame, GethDebugBuiltInTracerType, GethDebugTracingOptions, GethTrace};
use std::{collections::HashMap, sync::LazyLock};

/// Where `console.sol` of Hardhat and forge-std sends its lines.
pub const CONSOLE: Address = address!("000000000000000000636F6e736F6c652e6c6f67");

/// Values of one line.
const VALUES_MAX: usize = 4;
/// Bytes of a word of the ABI.
const WORD: usize = 32;

/// A type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Uint,
    Int,
    Text,
    Bool,
    Address,
    Bytes,
    /// So many bytes.
    Fixed(usize),
}

/// Types of the values of a line by the selector of its function.
static SIGNATURES: LazyLock<HashMap<Selector, Vec<Kind>>> = LazyLock::new(signatures);

/// Whether a block touched the console.
pub fn is_touched(list: &AccessList) -> bool {
    list.accounts().binary_search_by_key(&CONSOLE, |account| account.address).is_ok()
}

/// What the transactions of a block on `view` log, in order.
pub fn of_block<'t>(
    view: &dyn StateView,
    env: &BlockEnv,
    txs: impl Iterator<Item = &'t VerifiedTx>,
) -> Result<Vec<String>, TraceError> {
    let mut session = Session::new(view, env);
    session.begin().map_err(|e| TraceError::Call(e.into()))?;
    let mut lines = Vec::new();
    for tx in txs {
        let (trace, run) = session.debug(Subject::Tx(tx), &call_tracer(), &TransactionInfo::default())?;
        session.keep(run.changes);
        gather(&trace, &mut lines);
    }
    Ok(lines)
}

/// What a call logs, in order.
pub fn of_call(session: &Session<'_>, call: &Call) -> Result<Vec<String>, TraceError> {
    let subject = Subject::Call(call, Checks::LOOSE);
    let (trace, _) = session.debug(subject, &call_tracer(), &TransactionInfo::default())?;
    let mut lines = Vec::new();
    gather(&trace, &mut lines);
    Ok(lines)
}

fn call_tracer() -> GethDebugTracingOptions {
    GethDebugTracingOptions::new_tracer(GethDebugBuiltInTracerType::CallTracer)
}

fn gather(trace: &GethTrace, lines: &mut Vec<String>) {
    if let GethTrace::CallTracer(frame) = trace {
        gather_frame(frame, lines);
    }
}

/// Calls are listed as they were made, so that a walk from above meets lines in their order.
fn gather_frame(frame: &CallFrame, lines: &mut Vec<String>) {
    if frame.to == Some(CONSOLE) {
        lines.extend(line(&frame.input));
    }
    frame.calls.iter().for_each(|call| gather_frame(call, lines));
}

/// The line that call data of the console stands for.
fn line(input: &[u8]) -> Option<String> {
    let (selector, data) = input.split_first_chunk::<4>()?;
    let kinds = SIGNATURES.get(&Selector::from(*selector))?;
    let values: Vec<String> = (0..).zip(kinds).map(|(at, kind)| value(data, at, *kind)).collect::<Option<_>>()?;
    Some(match kinds.first() {
        Some(Kind::Text) => formatted(&values[0], &values[1..]),
        _ => values.join(" "),
    })
}

fn word(data: &[u8], at: usize) -> Option<&[u8; WORD]> {
    data.get(at..)?.first_chunk()
}

/// The value in the word at an index.
fn value(data: &[u8], index: usize, kind: Kind) -> Option<String> {
    let word = word(data, index * WORD)?;
    Some(match kind {
        Kind::Uint => U256::from_be_bytes(*word).to_string(),
        Kind::Int => I256::from_be_bytes(*word).to_string(),
        Kind::Bool => (*word != [0; WORD]).to_string(),
        Kind::Address => Address::from_slice(&word[12..]).to_string(),
        Kind::Fixed(bytes) => Bytes::copy_from_slice(&word[..bytes]).to_string(),
        Kind::Bytes => Bytes::copy_from_slice(long(data, word)?).to_string(),
        Kind::Text => String::from_utf8_lossy(long(data, word)?).into_owned(),
    })
}

/// The bytes that begin with their length at the offset in `word`.
fn long<'a>(data: &'a [u8], place: &[u8; WORD]) -> Option<&'a [u8]> {
    let number = |word: &[u8; WORD]| usize::try_from(U256::from_be_bytes(*word)).ok();
    let start = number(place)?;
    let length = number(word(data, start)?)?;
    let first = start.checked_add(WORD)?;
    data.get(first..first.checked_add(length)?)
}

/// A text with values in place of `%s` and its like; those that are left over follow it.
fn formatted(text: &str, values: &[String]) -> String {
    let (mut line, mut values) = (String::new(), values.iter());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        line.push_str(before);
        let sign = after.chars().next();
        match sign {
            Some('%') => line.push('%'),
            Some('s' | 'd' | 'i' | 'o' | 'O') if !values.as_slice().is_empty() => line.extend(values.next().cloned()),
            other => {
                line.push('%');
                line.extend(other);
            }
        }
        rest = &after[sign.map_or(0, char::len_utf8)..];
    }
    line.push_str(rest);
    values.for_each(|value| line.extend([" ", value.as_str()]));
    line
}

fn signatures() -> HashMap<Selector, Vec<Kind>> {
    let mut known = HashMap::new();
    let mut add = |names: &[&str], kinds: Vec<Kind>| {
        let hash = keccak256(format!("log({})", names.join(",")));
        known.insert(Selector::from_slice(&hash[..4]), kinds);
    };
    add(&["bytes"], vec![Kind::Bytes]);
    for bytes in 1..=WORD {
        add(&[format!("bytes{bytes}").as_str()], vec![Kind::Fixed(bytes)]);
    }
    // Early versions of `console.sol` spelt numbers without their width.
    for (uint, int) in [("uint256", "int256"), ("uint", "int")] {
        add(&[int], vec![Kind::Int]);
        add(&["string", int], vec![Kind::Text, Kind::Int]);
        let types = [(uint, Kind::Uint), ("string", Kind::Text), ("bool", Kind::Bool), ("address", Kind::Address)];
        let mut lists: Vec<(Vec<&str>, Vec<Kind>)> = vec![(Vec::new(), Vec::new())];
        for _ in 0..=VALUES_MAX {
            lists.iter().for_each(|(names, kinds)| add(names, kinds.clone()));
            let longer = |(names, kinds): &(Vec<&'static str>, Vec<Kind>)| {
                let (names, kinds) = (names.clone(), kinds.clone());
                types.map(|(name, kind)| ([names.clone(), vec![name]].concat(), [kinds.clone(), vec![kind]].concat()))
            };
            lists = lists.iter().flat_map(longer).collect();
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::{SolCall, sol};
    use proptest::prelude::*;

    sol! {
        interface Console {
            function log() external;
            function log(string text, uint256 number, bool flag, address who) external;
            function log(int256 number) external;
            function log(bytes data) external;
            function log(bytes3 data) external;
        }
    }

    #[test]
    fn lines_are_written_as_hardhat_writes_them() {
        let who = address!("00000000000000000000000000000000000000ff");
        let all = |text: &str| {
            let call = Console::log_1Call { text: text.to_owned(), number: U256::from(7), flag: true, who };
            line(&call.abi_encode()).unwrap()
        };
        assert_eq!(all("a %s b %d 100%% %x"), format!("a 7 b true 100% %x {who}"));
        assert_eq!(all("plain"), format!("plain 7 true {who}"));
        assert_eq!(all("%s%s%s%s"), format!("7true{who}%s"));
        assert_eq!(line(&Console::log_0Call {}.abi_encode()).unwrap(), "");
        assert_eq!(line(&Console::log_2Call { number: I256::MINUS_ONE }.abi_encode()).unwrap(), "-1");
        assert_eq!(line(&Console::log_3Call { data: Bytes::from_static(b"\x01\x02") }.abi_encode()).unwrap(), "0x0102");
        assert_eq!(line(&Console::log_4Call { data: [1, 2, 3].into() }.abi_encode()).unwrap(), "0x010203");
        assert_eq!(line(&hex::decode("f5b1bba9").unwrap()), None, "log(uint) without its number");
    }

    proptest! {
        #[test]
        fn bad_data_gives_no_line(data in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
            let selectors: Vec<&Selector> = SIGNATURES.keys().collect();
            let input = [at.get(&selectors).as_slice(), &data].concat();
            let _ = line(&input);
            let _ = line(&data);
        }
    }
}
