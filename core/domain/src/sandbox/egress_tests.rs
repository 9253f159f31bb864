//! The rules of egress as tables.

use super::*;

#[test]
fn only_addresses_of_the_internet_are_public() {
    for address in ["1.1.1.1", "192.0.2.1", "203.0.113.9", "2606:4700::1111", "172.32.0.1", "100.128.0.1"] {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
    for address in [
        "127.0.0.1",
        "127.255.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "fd00::1",
        "fe80::1",
        "ff02::1",
        "198.18.0.1",
    ] {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn rules_are_read_and_written_alike_and_others_refused() {
    for rule in ["example.org", "*.example.org", "example.org:8443", "127.0.0.1:8080", "[::1]:80", "1.1.1.1"]
    {
        assert_eq!(String::from(rule.parse::<AllowRule>().unwrap()), rule);
    }
    assert_eq!(String::from("EXAMPLE.org.".parse::<AllowRule>().unwrap()), "example.org");
    for rule in [
        "",
        "*",
        "*.org",
        "*.*.org",
        "a*b.org",
        "https://example.org",
        "example.org/x",
        "example.org:0",
        "example.org:99999",
        "127.0.0.1",
        "10.0.0.1",
        "*.1.1.1.1",
        "0x7f.1",
        "2130706433",
        "exa mple.org",
        ".org",
        "a..org",
        "user@example.org",
        "[::1]",
        "-a.org",
    ] {
        assert!(rule.parse::<AllowRule>().is_err(), "{rule}");
    }
}

#[test]
fn a_target_is_allowed_by_name_and_port_only() {
    let rules: Vec<AllowRule> = ["example.org", "*.files.org", "api.org:8443", "127.0.0.1:9000", "1.1.1.1"]
        .iter()
        .map(|rule| rule.parse().unwrap())
        .collect();
    let public = Some(Allowed::Public);
    for (host, port, wanted) in [
        ("example.org", 443, public),
        ("EXAMPLE.ORG.", 80, public),
        ("example.org", 22, None),
        ("www.example.org", 443, None),
        ("notexample.org", 443, None),
        ("example.org.evil.com", 443, None),
        ("a.files.org", 443, public),
        ("a.b.files.org", 443, public),
        ("files.org", 443, None),
        (".files.org", 443, None),
        ("evilfiles.org", 443, None),
        ("api.org", 8443, public),
        ("api.org", 443, None),
        ("127.0.0.1", 9000, Some(Allowed::AsNamed)),
        ("127.0.0.1", 9001, None),
        ("::ffff:127.0.0.1", 9000, Some(Allowed::AsNamed)),
        ("0x7f.0.0.1", 9000, None),
        ("2130706433", 9000, None),
        ("127.1", 9000, None),
        ("1.1.1.1", 443, public),
        ("2.2.2.2", 443, None),
        ("", 443, None),
        ("exa mple.org", 443, None),
    ] {
        assert_eq!(allowed(&rules, host, port), wanted, "{host}:{port}");
    }
}

#[test]
fn the_hosts_own_public_addresses_are_blocked_too() {
    let rules =
        nat_rules(&["192.0.2.2".parse().unwrap(), "10.0.0.1".parse().unwrap(), "2606::2".parse().unwrap()]);
    assert!(rules.contains(", 192.0.2.2 }") && rules.contains(", 2606::2 }"), "{rules}");
    assert!(!rules.contains(" 10.0.0.1"), "in its range already: {rules}");
}
