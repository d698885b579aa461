//! Quotes of real hardware. The samples in `tests/golden/tee` are those of the crate `dcap-qvl` 0.7.1 (MIT).

use super::*;
use crate::ledger::modules::tee::{
    attestation::{Applicant, admit, expected_data, judge},
    measurements::{self, Entry},
    quote::{evidence, signer_rule},
    rules::Platform,
};
use dcap_qvl::quote::{Quote, Report};
use proptest::prelude::*;

macro_rules! sample {
    ($name:literal) => {
        (
            include_bytes!(concat!("../../../../../tests/golden/tee/", $name)) as &[u8],
            include_bytes!(concat!("../../../../../tests/golden/tee/", $name, "_collateral.json")) as &[u8],
        )
    };
}

/// 2025-07-01.
const SUMMER_2025: u64 = 1_751_328_000;
/// 2026-03-01.
const SPRING_2026: u64 = 1_772_323_200;
/// 2026-10-20.
const AUTUMN_2026: u64 = 1_792_454_400;

/// Takes everything that can be taken.
fn lenient() -> TeeRules {
    TeeRules {
        statuses: vec![
            TcbStatus::SwHardeningNeeded,
            TcbStatus::ConfigurationNeeded,
            TcbStatus::ConfigurationAndSwHardeningNeeded,
            TcbStatus::TdRelaunchAdvised,
        ],
        smt: true,
        dynamic_platform: true,
        cached_keys: true,
        ..TeeRules::default()
    }
}

fn verify((quote, collateral): (&[u8], &[u8]), now: u64) -> Result<Evidence, QuoteError> {
    verify_quote(quote, collateral, now, lenient().platform())
}

fn tdx() -> Evidence {
    verify(sample!("tdx_quote"), SUMMER_2025).unwrap()
}

#[test]
fn quotes_of_hardware_verify() {
    let sgx = verify(sample!("sgx_quote"), SUMMER_2025).unwrap();
    assert_eq!(sgx.hardware, Hardware::Sgx);
    assert_eq!(sgx.measurement.as_slice(), &sample!("sgx_quote").0[112..144]);
    assert!(sgx.signer.is_some());
    assert_eq!((tdx().hardware, tdx().signer), (Hardware::Tdx, None));
    assert_eq!(tdx().report_data, sample!("tdx_quote").0[568..632]);
    let newer = verify(sample!("tdx_quote_td15ex"), AUTUMN_2026).unwrap();
    assert_eq!(newer.hardware, Hardware::Tdx);
    assert_ne!(newer.measurement, tdx().measurement);
}

#[test]
fn only_platforms_the_chain_puts_up_with_are_taken() {
    let (quote, collateral) = sample!("sgx_quote");
    let strict = verify_quote(quote, collateral, SUMMER_2025, Platform::default());
    assert_eq!(strict, Err(QuoteError::Quote), "its platform needs another configuration");
    let mut rules = lenient();
    rules.statuses.retain(|status| *status != TcbStatus::ConfigurationAndSwHardeningNeeded);
    assert_eq!(verify_quote(quote, collateral, SUMMER_2025, rules.platform()), Err(QuoteError::Quote));
}

#[test]
fn attack_a_quote_of_an_outdated_platform() {
    assert_eq!(verify(sample!("tdx_quote_outdated"), SPRING_2026), Err(QuoteError::Quote));
}

#[test]
fn attack_a_flipped_bit() {
    let (quote, collateral) = sample!("tdx_quote");
    // The header, what the machine is, its report data, the signature and the key that made it, the report of the quoting enclave.
    for at in [0, 20, 48, 48 + 184, 48 + 376, 568, 631, 640, 700, 770, 800, 1_100] {
        let mut bent = quote.to_vec();
        bent[at] ^= 4;
        assert_eq!(verify((&bent, collateral), SUMMER_2025), Err(QuoteError::Quote), "byte {at}");
    }
    let text = String::from_utf8(collateral.to_vec()).unwrap().replacen("UpToDate", "OutOfDate", 1);
    assert_eq!(verify((quote, text.as_bytes()), SUMMER_2025), Err(QuoteError::Quote), "collateral is signed, too");
}

#[test]
fn attack_expired_collateral() {
    let both = sample!("tdx_quote");
    // It was issued on 2025-06-19 and lasts for a month.
    for seconds in [0, SUMMER_2025 - 14 * 86_400, SUMMER_2025 + 30 * 86_400, u64::MAX] {
        assert_eq!(verify(both, seconds), Err(QuoteError::Quote), "at {seconds}");
    }
    let (quote, _) = both;
    assert_eq!(verify((quote, sample!("sgx_quote").1), SUMMER_2025), Err(QuoteError::Quote), "that of another kind");
    assert_eq!(verify((quote, b"{}"), SUMMER_2025), Err(QuoteError::Collateral));
}

#[test]
fn attack_an_enclave_that_can_be_debugged() {
    let Report::SgxEnclave(mut enclave) = Quote::parse(sample!("sgx_quote").0).unwrap().report else { unreachable!() };
    assert!(evidence(&Report::SgxEnclave(enclave)).is_ok());
    enclave.attributes[0] |= 2;
    assert_eq!(evidence(&Report::SgxEnclave(enclave)), Err(QuoteError::Debug));
    let Report::TD10(mut machine) = Quote::parse(sample!("tdx_quote").0).unwrap().report else { unreachable!() };
    assert!(evidence(&Report::TD10(machine)).is_ok());
    machine.td_attributes[0] |= 1;
    assert_eq!(evidence(&Report::TD10(machine)), Err(QuoteError::Debug));
}

/// A chain that takes lenient platforms and the sample's machine, in the summer of 2025.
fn attesting_chain() -> TestHost {
    let mut host = chain();
    host.time_ms = SUMMER_2025 * 1_000;
    host.is_static = false;
    super::super::install(&mut host, &lenient(), B256::repeat_byte(1)).unwrap();
    measurements::write(&mut host, tdx().measurement, Entry::Allowed { svn: 0 }).unwrap();
    host
}

fn applicant(tag: u8) -> Applicant {
    let registration = registration(tag, 0);
    let (network_key, seal_key) = (registration.networkKey, registration.sealKey);
    Applicant { account: account(tag), network_key, seal_key }
}

fn bound_to(data: &B256) -> Evidence {
    let mut evidence = tdx();
    evidence.report_data = [data.0, [0; 32]].concat().try_into().unwrap();
    evidence
}

#[test]
fn genuine_evidence_of_a_listed_enclave_is_admitted() {
    let mut host = attesting_chain();
    let expected = expected_data(&mut host, &applicant(1), 1).unwrap();
    let admission = judge(&mut host, &bound_to(&expected), &expected).unwrap();
    let measurement = tdx().measurement;
    assert_eq!((admission.hardware, admission.measurement, admission.rule), (Hardware::Tdx, measurement, measurement));
    let shown = ITee::reportDataCall {
        account: account(1),
        networkKey: applicant(1).network_key,
        sealKey: applicant(1).seal_key,
        height: 1,
    };
    assert_eq!(host.view(TEE, &shown), Ok(expected));

    measurements::write(&mut host, measurement, Entry::Unknown).unwrap();
    let reason = "the enclave is not on the list of measurements".to_owned();
    assert_reverts(judge(&mut host, &bound_to(&expected), &expected), ITee::AttestationRefused { reason });
}

#[test]
fn enclaves_of_a_listed_signer_are_admitted_from_a_version_on() {
    let mut host = attesting_chain();
    let data = B256::repeat_byte(4);
    let rule = signer_rule(&B256::repeat_byte(2), 5);
    let of_version = |svn| Evidence { hardware: Hardware::Sgx, signer: Some((rule, svn)), ..bound_to(&data) };
    let other = |svn| Evidence { measurement: B256::repeat_byte(8), ..of_version(svn) };
    assert!(judge(&mut host, &other(9), &data).is_err());
    measurements::write(&mut host, rule, Entry::Allowed { svn: 3 }).unwrap();
    assert!(judge(&mut host, &other(2), &data).is_err());
    assert_eq!(judge(&mut host, &other(3), &data).unwrap().rule, rule);
    measurements::write(&mut host, B256::repeat_byte(8), Entry::Revoked).unwrap();
    assert!(judge(&mut host, &other(3), &data).is_err(), "its measurement is revoked");
}

#[test]
fn attack_report_data_of_another_chain_or_account() {
    let mut host = attesting_chain();
    let expected = expected_data(&mut host, &applicant(1), 1).unwrap();
    let (who, beacon) = (applicant(1), crate::ledger::modules::testing::beacon_of(1));
    let data = |chain, genesis: u8, tag: u8| {
        let genesis = B256::repeat_byte(genesis);
        report_data(chain, &genesis, &account(tag), &who.network_key, &who.seal_key, &beacon)
    };
    let own = crate::ledger::modules::testing::CHAIN;
    assert_eq!(data(own, 1, 1), expected);
    for other in [data(own + 1, 1, 1), data(own, 2, 1), data(own, 1, 2)] {
        let refused = judge(&mut host, &bound_to(&other), &expected);
        let reason = "the quote is bound to something else".to_owned();
        assert_reverts(refused, ITee::AttestationRefused { reason });
    }
    let mut padded = bound_to(&expected);
    padded.report_data[63] = 1;
    assert!(judge(&mut host, &padded, &expected).is_err());
}

#[test]
fn attack_a_quote_registered_by_somebody_else() {
    let mut host = attesting_chain();
    let (quote, collateral) = sample!("tdx_quote");
    let published = ITee::publishCollateralCall { collateral: collateral.into() };
    let digest = call(&mut host, account(9), &published).unwrap();
    assert_eq!(host.view(TEE, &ITee::collateralCall { digest }).unwrap()[..], *collateral);
    let expected = ITee::CollateralPublished { digest, bytes_: collateral.len() as u64 };
    assert_eq!(host.last_event::<ITee::CollateralPublished>(), expected);

    host.fund(account(1), 1);
    let mut refusal = |given: QuoteAttestation, time: u64, reason: &str| {
        host.time_ms = time * 1_000;
        let call = ITee::registerCall { attestation: given.encode(), ..registration(1, 0) };
        let result = host.call(account(1), TEE, Amount::tokens(1).0, &call);
        assert_reverts(result, ITee::AttestationRefused { reason: reason.to_owned() });
        host.gas_used
    };
    let given = QuoteAttestation { height: 1, collateral: digest, quote: Bytes::copy_from_slice(quote) };
    let gas = refusal(given.clone(), SUMMER_2025, "the quote is bound to something else");
    assert!(gas > 300_000, "{gas}");
    let old = QuoteAttestation { height: 2, ..given.clone() };
    refusal(old, SUMMER_2025, "the quote is bound to a block that is not among the last ones");
    let stale = "the quote does not verify under its collateral at this block's time";
    refusal(given, SUMMER_2025 + 30 * 86_400, stale);
    let unknown = QuoteAttestation { height: 1, collateral: B256::ZERO, quote: Bytes::new() };
    let result = admit(&mut host, &applicant(1), &unknown.encode());
    assert_reverts(result, ITee::UnknownCollateral { digest: B256::ZERO });
}

#[test]
fn collateral_is_bounded_and_read() {
    let mut host = chain();
    let mut publish =
        |bytes: &[u8]| call(&mut host, account(1), &ITee::publishCollateralCall { collateral: bytes.to_vec().into() });
    let reason = format!("it has 49153 B, the limit is {COLLATERAL_MAX_BYTES} B");
    assert_reverts(publish(&[b' '; COLLATERAL_MAX_BYTES + 1]), ITee::CollateralInvalid { reason });
    let reason = "the collateral is not the JSON of DCAP collateral".to_owned();
    assert_reverts(publish(b"[]"), ITee::CollateralInvalid { reason });
}

#[test]
fn a_revoked_enclave_is_active_no_more() {
    let mut host = attesting_chain();
    register(&mut host, 1, 0);
    // As if it had registered with the sample's quote.
    let found = Worker::require(&mut host, account(1)).unwrap();
    Worker { hardware: Hardware::Tdx, ..found }.write_head(&mut host).unwrap();
    found.slots.measurement.set(&mut host, &tdx().measurement).unwrap();
    found.slots.rule.set(&mut host, &tdx().measurement).unwrap();
    let shown = worker(&mut host, 1);
    assert!(shown.state == 0 && shown.attestation == 2 && shown.id.starts_with("TDX-"), "{}", shown.id);
    measurements::write(&mut host, tdx().measurement, Entry::Revoked).unwrap();
    assert_eq!(worker(&mut host, 1).state, 3);
    assert!(verifiers(&mut host).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn foreign_formats_never_panic(at in any::<prop::sample::Index>(), flip in 1u8.., cut in 0usize..5_006) {
        let (quote, collateral) = sample!("tdx_quote");
        let mut bent = quote.to_vec();
        let index = at.index(bent.len());
        bent[index] ^= flip;
        bent.truncate(cut.max(index / 2));
        drop(verify((&bent, collateral), SUMMER_2025));
        let mut bent = collateral.to_vec();
        let index = at.index(bent.len());
        bent[index] ^= flip;
        drop(verify((quote, &bent), SUMMER_2025));
    }
}
