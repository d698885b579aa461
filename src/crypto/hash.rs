//! BLAKE3 with a domain for each use, so that a digest made for one purpose is never valid for another.

/// Domain of consensus header ids.
pub const DOMAIN_HEADER: &str = "cess 2026 consensus header v1";
/// Domain of block bodies.
pub const DOMAIN_BODY: &str = "cess 2026 block body v1";
/// Domain of the random beacon.
pub const DOMAIN_BEACON: &str = "cess 2026 beacon v1";
/// Domain of the proposer permutation.
pub const DOMAIN_ROTATION: &str = "cess 2026 proposer rotation v1";
/// Domain of the VRF input.
pub const DOMAIN_VRF_INPUT: &str = "cess 2026 vrf input v1";
/// Domain of placement scores.
pub const DOMAIN_PLACEMENT: &str = "cess 2026 placement v1";
/// Domain of storage receipts.
pub const DOMAIN_RECEIPT: &str = "cess 2026 storage receipt v1";
/// Domain of what recognises a customer's key.
pub const DOMAIN_CUSTOMER_KEY: &str = "cess 2026 customer key check v1";
/// Domain of committee sets.
pub const DOMAIN_COMMITTEE: &str = "cess 2026 committee v1";

/// Domain of candidates' contributions to an election.
pub const DOMAIN_ERA_REVEAL: &str = "cess 2026 era reveal v1";
/// Domain of validators' proofs that they hold their keys.
pub const DOMAIN_POSSESSION: &str = "cess 2026 validator key possession v1";
/// Domain of native transactions.
pub const DOMAIN_NATIVE_TX: &str = "cess 2026 native transaction v1";
/// Domain of the coefficients that ed25519 batches are checked with.
pub const DOMAIN_ED25519_BATCH: &str = "cess 2026 ed25519 batch v1";
/// Domain of what a PoDR² round asks.
pub const DOMAIN_PODR2_CHALLENGE: &str = "cess 2026 podr2 challenge v1";
/// Domain of a PoDR² key epoch's name.
pub const DOMAIN_PODR2_KEY: &str = "cess 2026 podr2 group key v1";
/// Domain of the secrets of a PoDR² key epoch.
pub const DOMAIN_PODR2_SECRET: &str = "cess 2026 podr2 tagger secret v1";
/// Domain of the weights that PoDR² equations are combined with.
pub const DOMAIN_PODR2_WEIGHTS: &str = "cess 2026 podr2 weights v1";
/// Domain of what a round asks to be opened.
pub const DOMAIN_SPOT_CHALLENGE: &str = "cess 2026 spot challenge v1";
/// Domain of the identities of idle segments.
pub const DOMAIN_IDLE_REPLICA: &str = "cess 2026 idle replica v1";
/// Domain of commitments to idle segments.
pub const DOMAIN_IDLE_COMMITMENT: &str = "cess 2026 idle commitment v1";
/// Domain of the nodes that are checked of a new idle segment.
pub const DOMAIN_IDLE_CHALLENGE: &str = "cess 2026 idle challenge v1";
/// Domain of the leaves that are audited of idle space.
pub const DOMAIN_IDLE_AUDIT: &str = "cess 2026 idle audit v1";

/// Domain of journals' names.
pub const DOMAIN_JOURNAL_ID: &str = "cess 2026 journal id v1";
/// Domain of what a writer shows a miner to be let at a journal.
pub const DOMAIN_JOURNAL_TOKEN: &str = "cess 2026 journal token v1";
/// Domain of the keys that journals' records are encrypted with.
pub const DOMAIN_JOURNAL_VEIL: &str = "cess 2026 journal veil v1";
/// Domain of what a miner keeps of such a token.
pub const DOMAIN_JOURNAL_LOCK: &str = "cess 2026 journal lock v1";
/// Domain of the checksums of a journal's entries on disk.
pub const DOMAIN_JOURNAL_ENTRY: &str = "cess 2026 journal entry v1";
/// Domain of the committees that verify audits.
pub const DOMAIN_VERIFIERS: &str = "cess 2026 audit verifiers v1";
/// Domain of what a miner signs when tags of a column are good.
pub const DOMAIN_TAG_RECEIPT: &str = "cess 2026 tag receipt v1";
/// Domain of the secrets of an enclave that is none.
pub const DOMAIN_SIMULATED_ENCLAVE: &str = "cess 2026 simulated enclave v1";
/// Domain of which worker comes first to tag a file.
pub const DOMAIN_TAG_TURNS: &str = "cess 2026 tagging turns v1";
/// Domain of what an attestation is bound to.
pub const DOMAIN_REPORT_DATA: &str = "cess 2026 tee report data v1";
/// Domain of names of enclaves, and of votes about them.
pub const DOMAIN_TEE_MEASUREMENT: &str = "cess 2026 tee measurement v1";
/// Domain of TEE workers' ids.
pub const DOMAIN_TEE_ID: &str = "cess 2026 tee worker id v1";
/// Domain of what shows that a gateway is of a group.
pub const DOMAIN_GATEWAY_GROUP: &str = "cess 2026 gateway group v1";

/// Plain BLAKE3, for content ids that other tools can recompute.
pub fn content(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// BLAKE3 in key-derivation mode under `domain`, over length-prefixed parts (so that part boundaries are part of the input).
pub fn tagged(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// An endless deterministic byte stream under `domain` and `seed`.
pub fn stream(domain: &str, seed: &[u8]) -> blake3::OutputReader {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    hasher.update(seed);
    hasher.finalize_xof()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_domains_separate() {
        let joined = tagged(DOMAIN_BODY, &[b"ab", b"c"]);
        assert_ne!(joined, tagged(DOMAIN_BODY, &[b"a", b"bc"]));
        assert_ne!(joined, tagged(DOMAIN_HEADER, &[b"ab", b"c"]));
    }
}
