//! Requests of the execution layer to the consensus layer (EIP-7685): deposits out of logs, withdrawals and consolidations out of
//! system contracts.

use crate::ledger::executor::Receipt;
use alloy_eips::{eip7002, eip7251};
use alloy_primitives::{Address, B256, Bytes, address, b256};
use alloy_sol_types::{SolType, sol_data};
use revm::precompile::crypto;

/// EIP-6110.
const DEPOSIT_TYPE: u8 = 0;
/// Topic of the deposit contract's event.
const DEPOSIT_TOPIC: B256 = b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
/// The deposit contract of mainnet, where a genesis names none.
pub const DEPOSIT_CONTRACT: Address = address!("00000000219ab540356cBB839Cbe05303d7705Fa");
/// System contracts that are called after a block's transactions, with the type of the requests they return.
pub const QUEUES: [(u8, Address); 2] = [
    (eip7002::WITHDRAWAL_REQUEST_TYPE, eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
    (eip7251::CONSOLIDATION_REQUEST_TYPE, eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS),
];

/// A request of a type.
pub fn request(kind: u8, data: &[u8]) -> Bytes {
    [&[kind], data].concat().into()
}

/// All deposits that a block's receipts log, as one request.
pub fn deposits(receipts: &[Receipt], contract: Address) -> Result<Bytes, String> {
    let mut data = Vec::new();
    let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
    for log in logs.filter(|log| log.address == contract && log.topics().first() == Some(&DEPOSIT_TOPIC)) {
        data.extend(deposit(&log.data.data)?);
    }
    Ok(request(DEPOSIT_TYPE, &data))
}

/// Public key, credentials, amount, signature and index of one deposit, without the padding of the event.
fn deposit(event: &[u8]) -> Result<Vec<u8>, String> {
    const LENGTHS: [usize; 5] = [48, 32, 8, 96, 8];
    type Event = (sol_data::Bytes, sol_data::Bytes, sol_data::Bytes, sol_data::Bytes, sol_data::Bytes);
    let fields = Event::abi_decode_params(event).map_err(|e| format!("a deposit's event cannot be read: {e}"))?;
    let fields: [Bytes; 5] = [fields.0, fields.1, fields.2, fields.3, fields.4];
    if fields.iter().map(|field| field.len()).ne(LENGTHS) {
        return Err("a deposit's event has fields of other lengths than a deposit".into());
    }
    Ok(fields.concat())
}

/// What the header says of a block's requests: those without data do not count.
pub fn requests_hash(requests: &[Bytes]) -> B256 {
    let mut digests = Vec::new();
    for request in requests.iter().filter(|request| request.len() > 1) {
        digests.extend(crypto().sha256(request));
    }
    B256::from(crypto().sha256(&digests))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;

    #[test]
    fn no_requests_hash_as_the_eip_says() {
        assert_eq!(requests_hash(&[]), EMPTY_REQUESTS_HASH);
        assert_eq!(requests_hash(&[request(0, &[]), request(1, &[])]), EMPTY_REQUESTS_HASH);
        assert_ne!(requests_hash(&[request(1, &[7])]), requests_hash(&[request(2, &[7])]));
    }
}
