//! What a miner signs when it has a fragment safely on disk.
//!
//! Owns the message only; who may sign and what a receipt is worth is the files module's business.

use crate::{
    crypto::hash::{DOMAIN_RECEIPT, tagged},
    types::{Address, ChainId, FileId},
};

/// The digest `miner` signs with its account key: "I keep fragment `index` of every segment of `file` on chain `chain_id`".
pub fn receipt_message(chain_id: ChainId, file: FileId, index: u8, miner: Address) -> [u8; 32] {
    tagged(DOMAIN_RECEIPT, &[&chain_id.to_le_bytes(), file.as_bytes(), &[index], miner.as_slice()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_receipt_is_signed() {
        let message =
            |chain, file, index, miner| receipt_message(chain, FileId([file; 32]), index, Address::repeat_byte(miner));
        let base = message(1, 2, 3, 4);
        for other in [message(9, 2, 3, 4), message(1, 9, 3, 4), message(1, 2, 9, 4), message(1, 2, 3, 9)] {
            assert_ne!(base, other);
        }
    }
}
