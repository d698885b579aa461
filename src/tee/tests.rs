//! Keys that move between enclaves, tags made inside, and hardware that is a folder.

use super::{hardware::Machine, *};
use crate::{
    ledger::modules::verify_quote,
    proofs::podr2::{Tagged, check_tags},
    types::FragmentId,
};
use std::fs;

const QUOTE: &[u8] = include_bytes!("../../tests/golden/tee/tdx_quote");

fn enclave(tag: u8) -> Simulated {
    Simulated::new(&[tag; 32])
}

fn handover(to: &dyn Enclave) -> Handover {
    Handover { chain: 11_332, epoch: 3, receiver: Address::repeat_byte(2), seal_key: to.seal_key() }
}

fn fragment(data: &[u8]) -> Fragment {
    Fragment::new(FragmentId(*blake3::hash(data).as_bytes()), data.len() as u64).unwrap()
}

#[test]
fn a_key_that_was_handed_over_makes_the_same_tags() {
    let (one, two) = (enclave(1), enclave(2));
    let EpochKey { group, srs } = one.draw_key().unwrap();
    let digest = group.digest();
    let sealed = one.seal(&digest, &handover(&two)).unwrap();
    assert_eq!(sealed.len(), SEALED_BYTES);
    assert!(!two.holds(&digest));
    two.unseal(&group, &handover(&two), &sealed).unwrap();
    assert!(two.holds(&digest));

    let data = vec![7; 70_016];
    let fragment = fragment(&data);
    let tags = two.tag(&digest, fragment, &mut data.as_slice()).unwrap();
    assert_eq!(tags, one.tag(&digest, fragment, &mut data.as_slice()).unwrap());
    check_tags(&group, &srs, &[Tagged { fragment, data: &data, tags: &tags }]).unwrap();

    two.forget(&digest);
    let refused = two.tag(&digest, fragment, &mut data.as_slice());
    assert!(matches!(refused, Err(EnclaveError::UnknownKey(_))));
}

#[test]
fn a_worker_gets_its_own_key_back_after_a_restart() {
    let before = enclave(1);
    let EpochKey { group, .. } = before.draw_key().unwrap();
    let sealed = before.seal(&group.digest(), &handover(&before)).unwrap();
    let after = enclave(1);
    after.unseal(&group, &handover(&after), &sealed).unwrap();
    assert!(after.holds(&group.digest()));
}

#[test]
fn attack_a_sealed_key_used_for_something_else() {
    let (one, two, three) = (enclave(1), enclave(2), enclave(3));
    let group = one.draw_key().unwrap().group;
    let to = handover(&two);
    let sealed = one.seal(&group.digest(), &to).unwrap();
    let others = [
        Handover { chain: 1, ..to },
        Handover { epoch: 4, ..to },
        Handover { receiver: Address::ZERO, ..to },
        Handover { seal_key: three.seal_key(), ..to },
    ];
    for other in others {
        assert!(matches!(two.unseal(&group, &other, &sealed), Err(EnclaveError::Sealed { .. })), "{other:?}");
    }
    assert!(three.unseal(&group, &to, &sealed).is_err());
    for at in [0, 1, 40, SEALED_BYTES - 1] {
        let mut bent = sealed.clone();
        bent[at] ^= 1;
        assert!(two.unseal(&group, &to, &bent).is_err(), "byte {at}");
    }
    for cut in [0, 1, 33, SEALED_BYTES - 1] {
        assert!(two.unseal(&group, &to, &sealed[..cut]).is_err(), "{cut} B");
    }
    let mut long = sealed;
    long.push(0);
    assert!(two.unseal(&group, &to, &long).is_err());
}

#[test]
fn attack_a_secret_of_another_key() {
    let (one, two) = (enclave(1), enclave(2));
    let (real, forged) = (one.draw_key().unwrap().group, one.draw_key().unwrap().group);
    let of = handover(&two);
    let seed = [9; 32];
    let sealed = seal::seal(&seed, &real.digest(), &of).unwrap();
    assert!(matches!(two.unseal(&real, &of, &sealed), Err(EnclaveError::WrongSecret(3))));
    assert!(!two.holds(&real.digest()) && !two.holds(&forged.digest()));
}

#[test]
fn a_key_that_nobody_can_seal_to_is_refused() {
    let one = enclave(1);
    let group = one.draw_key().unwrap().group;
    let to = Handover { seal_key: [0; 32], ..handover(&one) };
    assert!(matches!(one.seal(&group.digest(), &to), Err(EnclaveError::SealKey(_))));
}

#[test]
fn tags_are_made_of_the_bytes_the_id_names_only() {
    let one = enclave(1);
    let digest = one.draw_key().unwrap().group.digest();
    let (data, other) = (vec![1; 2_048], vec![2; 2_048]);
    let refused = one.tag(&digest, fragment(&data), &mut other.as_slice());
    assert!(matches!(refused, Err(EnclaveError::Tag(TagError::Content { .. }))));
    let refused = one.tag(&digest, fragment(&data), &mut &data[..1_024]);
    assert!(matches!(refused, Err(EnclaveError::Tag(TagError::Length { .. }))));
}

#[test]
fn a_simulated_enclave_gives_no_quote() {
    let one = enclave(1);
    assert_eq!(one.hardware(), Hardware::None);
    assert_eq!(attestation(&one, &B256::ZERO, 1, B256::ZERO).unwrap(), Bytes::from_static(&[0]));
    assert_ne!(one.seal_key(), enclave(2).seal_key());
}

/// The report data of the sample quote.
fn sample_data() -> [u8; 64] {
    QUOTE[568..632].try_into().unwrap()
}

/// A quote of the sample's form over 32 bytes and zeros.
fn quote_over(data: &B256) -> Vec<u8> {
    let mut quote = QUOTE.to_vec();
    quote[568..600].copy_from_slice(data.as_slice());
    quote[600..632].fill(0);
    quote
}

fn request_at(root: &std::path::Path, provider: &str, quote: &[u8]) -> PathBuf {
    let request = root.join(format!("cess-{}", std::process::id()));
    fs::create_dir_all(&request).unwrap();
    for (name, content) in
        [("provider", provider.as_bytes()), ("generation", b"1\n"), ("outblob", quote), ("inblob", b"")]
    {
        fs::write(request.join(name), content).unwrap();
    }
    request
}

#[test]
fn a_tdx_machine_asks_the_kernel() {
    let root = tempfile::tempdir().unwrap();
    let data = B256::repeat_byte(5);
    let request = request_at(root.path(), "tdx_guest\n", &quote_over(&data));
    let machine = Machine::find_at(root.path(), &root.path().join("none")).unwrap();
    assert_eq!(machine.hardware(), Hardware::Tdx);
    assert_eq!(machine.quote(&data).unwrap().unwrap(), quote_over(&data));
    assert_eq!(fs::read(request.join("inblob")).unwrap(), [[5; 32], [0; 32]].concat());
    let encoded = attestation(&machine, &data, 7, B256::repeat_byte(1)).unwrap();
    assert_eq!(encoded[..9], [1, 0, 0, 0, 0, 0, 0, 0, 7]);
    assert_eq!(encoded[9..41], [1; 32]);
    assert_eq!(encoded[41..], quote_over(&data));
    let again = Machine::find_at(root.path(), &root.path().join("none")).unwrap();
    assert_ne!(machine.seal_key(), again.seal_key(), "a machine that starts anew has no secret");
}

#[test]
fn attack_a_quote_over_something_else() {
    let root = tempfile::tempdir().unwrap();
    request_at(root.path(), "tdx_guest\n", QUOTE);
    let machine = Machine::find_at(root.path(), &root.path().join("none")).unwrap();
    let refused = machine.quote(&B256::repeat_byte(5));
    assert!(matches!(refused, Err(EnclaveError::Quote(5_006))), "{refused:?}");
    assert_ne!(sample_data(), [0; 64]);
}

#[test]
fn reports_of_other_hardware_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let request = request_at(root.path(), "sev_guest\n", QUOTE);
    let machine = Machine::find_at(root.path(), &root.path().join("none")).unwrap();
    let refused = machine.quote(&B256::ZERO).unwrap_err().to_string();
    assert!(refused.contains("sev_guest"), "{refused}");
    fs::remove_file(request.join("provider")).unwrap();
    let refused = machine.quote(&B256::ZERO).unwrap_err().to_string();
    assert!(refused.contains("provider"), "{refused}");
}

#[test]
fn an_sgx_enclave_has_its_key_from_the_processor() {
    let root = tempfile::tempdir().unwrap();
    let (device, data) = (root.path().join("attestation"), B256::repeat_byte(6));
    fs::create_dir_all(device.join("keys")).unwrap();
    fs::write(device.join("keys/_sgx_mrenclave"), [3; 16]).unwrap();
    fs::write(device.join("user_report_data"), b"").unwrap();
    fs::write(device.join("quote"), quote_over(&data)).unwrap();
    let find = || Machine::find_at(&root.path().join("none"), &device).unwrap();
    assert_eq!((find().hardware(), find().seal_key()), (Hardware::Sgx, find().seal_key()));
    assert_eq!(find().quote(&data).unwrap().unwrap(), quote_over(&data));
    assert!(find().quote(&B256::repeat_byte(7)).is_err());
}

#[test]
fn without_hardware_the_error_says_what_was_looked_for() {
    let root = tempfile::tempdir().unwrap();
    let refused = Machine::find_at(&root.path().join("a"), &root.path().join("b")).err().unwrap().to_string();
    assert!(refused.contains("TDX") && refused.contains("SGX"), "{refused}");
    let collateral = include_bytes!("../../tests/golden/tee/tdx_quote_collateral.json");
    let bent = quote_over(&B256::ZERO);
    assert!(verify_quote(&bent, collateral, 1_752_000_000, Default::default()).is_err(), "its signature is of another");
}
