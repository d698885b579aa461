//! The network prefix a miner declares: what tells miners in one place from miners in another.
//!
//! Owns the choice among a host's addresses and the mapping to 32 bits. Must not know the caps it is counted against. The
//! prefix is declared at registration; nobody verifies it yet, and a miner that moves keeps what it declared.

use libp2p::{Multiaddr, multiaddr::Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of an IPv4 address that say where a miner is.
const IPV4_BITS: u32 = 24;

/// The prefix of the address others reach a miner at: the first `external` one (the operator's word), else the first of
/// `listen` that is on the public network, else the first of `listen`; 0 if none of them names an IP address.
///
/// An IPv4 address gives its /24, with zeroes below. An IPv6 address gives its /48, three groups of 16 bits `a:b:c`, folded to
/// `a ^ c` above `b`: the networks of one registry differ in `b` and `c`, so that neighbours do not fall together.
pub fn network_prefix(external: &[Multiaddr], listen: &[Multiaddr]) -> u32 {
    let listened = || listen.iter().filter_map(ip_of);
    let chosen = external.iter().find_map(ip_of);
    let chosen = chosen.or_else(|| listened().find(|ip| is_public(*ip))).or_else(|| listened().next());
    chosen.map_or(0, fold)
}

fn fold(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip) & (u32::MAX << (u32::BITS - IPV4_BITS)),
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            u32::from(a ^ c) << 16 | u32::from(b)
        }
    }
}

/// The IP address at the beginning, with an IPv4 address in IPv6 clothes taken for what it is. A relayed address names the
/// relay's place, not the miner's.
fn ip_of(addr: &Multiaddr) -> Option<IpAddr> {
    if addr.iter().any(|part| part == Protocol::P2pCircuit) {
        return None;
    }
    match addr.iter().next()? {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    }
}

/// Whether the whole network can reach an address: not this machine's own, a local network's, or a carrier's inside.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let carrier_grade_nat = a == 100 && b & 0xc0 == 64;
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_private() || ip.is_link_local() || carrier_grade_nat)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::PeerId;

    fn prefix(external: &[&str], listen: &[&str]) -> u32 {
        let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Multiaddr>>();
        network_prefix(&parsed(external), &parsed(listen))
    }

    #[test]
    fn the_operators_word_comes_first_then_what_is_public() {
        let listen =
            ["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.9/tcp/1", "/ip6/2a01:4f8:7::1/tcp/1", "/ip4/5.6.7.8/tcp/1"];
        assert_eq!(prefix(&["/ip4/10.1.2.3/tcp/4"], &listen), 0x0a01_0200, "even a private one, if it is configured");
        assert_eq!(prefix(&["/dns4/miner.example/tcp/4", "/ip4/9.8.7.6/udp/4/quic-v1"], &listen), 0x0908_0700);
        assert_eq!(prefix(&[], &listen), (0x2a01 ^ 7) << 16 | 0x04f8);
        assert_eq!(prefix(&["/dns4/miner.example/tcp/4"], &listen[..2]), 0x7f00_0000, "the first if none is public");
        assert_eq!(prefix(&[], &["/ip4/192.168.1.9/tcp/1", "/ip4/5.6.7.8/tcp/1"]), 0x0506_0700);
        assert_eq!(prefix(&[], &["/memory/7"]), 0);
        assert_eq!(prefix(&[], &[]), 0);
    }

    #[test]
    fn neighbours_share_a_prefix_and_others_do_not() {
        let of = |ip: &str| fold(ip.parse().unwrap());
        assert_eq!(of("5.6.7.8"), of("5.6.7.250"));
        assert_ne!(of("5.6.7.8"), of("5.6.8.8"));
        assert_eq!(of("2a01:4f8:7::1"), of("2a01:4f8:7:ffff::9"));
        assert_ne!(of("2a01:4f8:7::1"), of("2a01:4f8:8::1"));
        assert_ne!(of("2a01:4f8:7::1"), of("2a01:4f9:7::1"));
    }

    #[test]
    fn what_is_inside_is_not_public() {
        let inside = [
            "0.0.0.0",
            "127.0.0.1",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
        ];
        for ip in inside {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["1.1.1.1", "100.63.0.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn mapped_and_relayed_addresses_are_seen_through() {
        assert_eq!(prefix(&[], &["/ip6/::ffff:5.6.7.8/tcp/1"]), 0x0506_0700);
        let relayed = format!("/ip4/9.9.9.9/tcp/1/p2p/{}/p2p-circuit", PeerId::random());
        assert_eq!(prefix(&[], &[&relayed, "/ip4/5.6.7.8/tcp/1"]), 0x0506_0700);
    }
}
