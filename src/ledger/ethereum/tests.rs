//! Chains that this very module builds, checked against facts published elsewhere.

use super::*;
use crate::types::{B256, U256};
use alloy_primitives::b256;
use revm::primitives::hardfork::SpecId;

/// Every fork up to Paris at block zero, the later ones at the times given.
fn genesis(times: &str) -> String {
    format!(
        r#"{{"config":{{"chainId":1,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,"byzantiumBlock":0,
        "constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0,
        "terminalTotalDifficulty":0{times}}},"nonce":"0x0","timestamp":"0x0","extraData":"0x","gasLimit":"0x1c9c380",
        "difficulty":"0x1","alloc":{{}}}}"#
    )
}

#[test]
fn forks_come_by_number_then_by_time() {
    let json = r#"{"config":{"chainId":1,"homesteadBlock":1,"eip150Block":2,"eip155Block":3,"eip158Block":3,
        "byzantiumBlock":4,"constantinopleBlock":5,"petersburgBlock":6,"istanbulBlock":7,"berlinBlock":8,"londonBlock":9,
        "terminalTotalDifficulty":100,"shanghaiTime":1000,"cancunTime":2000,"pragueTime":3000,"osakaTime":4000},
        "nonce":"0x0","timestamp":"0x0","extraData":"0x","gasLimit":"0x1c9c380","difficulty":"0x1","alloc":{}}"#;
    let forks = EthereumGenesis::parse(json).unwrap().forks;
    let by_number = [
        SpecId::FRONTIER,
        SpecId::HOMESTEAD,
        SpecId::TANGERINE,
        SpecId::SPURIOUS_DRAGON,
        SpecId::BYZANTIUM,
        SpecId::PETERSBURG,
        SpecId::PETERSBURG,
        SpecId::ISTANBUL,
        SpecId::BERLIN,
        SpecId::LONDON,
    ];
    for (number, spec) in (0u64..).zip(by_number) {
        assert_eq!(forks.spec(number, 9_999, false), spec, "block {number}");
    }
    assert!(!forks.is_merged(U256::from(99)) && forks.is_merged(U256::from(100)));
    for (time, spec) in [
        (999, SpecId::MERGE),
        (1_000, SpecId::SHANGHAI),
        (2_000, SpecId::CANCUN),
        (3_000, SpecId::PRAGUE),
        (4_000, SpecId::OSAKA),
    ] {
        assert_eq!(forks.spec(50, time, true), spec, "time {time}");
        let rules = forks.rules(50, time, true, U256::ZERO, 0);
        assert_eq!(
            rules.blobs.map(|blobs| blobs.max),
            match spec {
                SpecId::CANCUN => Some(6),
                SpecId::PRAGUE | SpecId::OSAKA => Some(9),
                _ => None,
            }
        );
        assert_eq!(rules.tx_gas_cap, (spec == SpecId::OSAKA).then_some(1 << 24));
    }
}

/// Genesis of the Sepolia network: its document is small, its hash is known to every client.
#[test]
fn sepolia_begins_with_its_known_hash() {
    let json = r#"{"config":{"chainId":11155111,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,
        "byzantiumBlock":0,"constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0,
        "mergeNetsplitBlock":1735371,"terminalTotalDifficulty":17000000000000000,"shanghaiTime":1677557088,
        "cancunTime":1706655072,"pragueTime":1741159776},
        "nonce":"0x0","timestamp":"0x6159af19","extraData":"0x5365706f6c69612c20417468656e732c204174746963612c2047726565636521",
        "gasLimit":"0x1c9c380","difficulty":"0x20000","alloc":{
        "a2a6d93439144ffe4d27c9e088dcd8b783946263":{"balance":"0xd3c21bcecceda1000000"},
        "bc11295936aa79d594139de1b2e12629414f3bdb":{"balance":"0xd3c21bcecceda1000000"},
        "7cf5b79bfe291a67ab02b393e456ccc4c266f753":{"balance":"0xd3c21bcecceda1000000"},
        "aaec86394441f915bce3e6ab399977e9906f3b69":{"balance":"0xd3c21bcecceda1000000"},
        "f47cae1cf79ca6758bfc787dbd21e6bdbe7112b8":{"balance":"0xd3c21bcecceda1000000"},
        "d7eddb78ed295b3c9629240e8924fb8d8874ddd8":{"balance":"0xd3c21bcecceda1000000"},
        "8b7f0977bb4f0fbe7076fa22bc24aca043583f5e":{"balance":"0xd3c21bcecceda1000000"},
        "e2e2659028143784d557bcec6ff3a0721048880a":{"balance":"0xd3c21bcecceda1000000"},
        "d9a5179f091d85051d3c982785efd1455cec8699":{"balance":"0xd3c21bcecceda1000000"},
        "beef32ca5b9a198d27b4e02f4c70439fe60356cf":{"balance":"0xd3c21bcecceda1000000"},
        "0000006916a87b82333f4245046623b23794c65c":{"balance":"0x84595161401484a000000"},
        "b21c33de1fab3fa15499c62b59fe0cc3250020d1":{"balance":"0x52b7d2dcc80cd2e4000000"},
        "10f5d45854e038071485ac9e402308cf80d2d2fe":{"balance":"0x52b7d2dcc80cd2e4000000"},
        "d7d76c58b3a519e9fa6cc4d22dc017259bc49f1e":{"balance":"0x52b7d2dcc80cd2e4000000"},
        "799d329e5f583419167cd722962485926e338f4a":{"balance":"0xde0b6b3a7640000"}}}"#;
    let genesis = EthereumGenesis::parse(json).unwrap();
    let hash = b256!("25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9");
    assert_eq!(genesis.header.hash_slow(), hash);
}

#[test]
fn genesis_headers_have_the_fields_of_their_fork() {
    let fields = |times: &str| {
        let header = EthereumGenesis::parse(&genesis(times)).unwrap().header;
        (header.withdrawals_root.is_some(), header.parent_beacon_block_root.is_some(), header.requests_hash.is_some())
    };
    assert_eq!(fields(""), (false, false, false));
    assert_eq!(fields(r#","shanghaiTime":0"#), (true, false, false));
    assert_eq!(fields(r#","shanghaiTime":0,"cancunTime":0"#), (true, true, false));
    assert_eq!(fields(r#","shanghaiTime":0,"cancunTime":0,"pragueTime":0"#), (true, true, true));
    assert_eq!(fields(r#","shanghaiTime":5"#), (false, false, false));
    let header = EthereumGenesis::parse(&genesis("")).unwrap().header;
    assert_eq!((header.base_fee_per_gas, header.parent_hash), (Some(1_000_000_000), B256::ZERO));
    assert!(matches!(EthereumGenesis::parse("{}"), Err(GenesisFault::Format(_))));
    let newer = EthereumGenesis::parse(&genesis(r#","amsterdamTime":9"#));
    assert_eq!(newer.map(|_| ()), Err(GenesisFault::NewerFork("Amsterdam")));
    let fifth = EthereumGenesis::parse(&genesis("").replace(r#""nonce":"0x0""#, r#""nonce":"0x0","number":"0x5""#));
    assert_eq!(fifth.map(|_| ()), Err(GenesisFault::NotZero(5)));
}
