//! The plan, word by word.

use super::super::spec::Limits;
use super::*;

fn spec() -> SandboxSpec {
    SandboxSpec {
        egress: "/usr/bin/sandboxed-sh".into(),
        machine: "sbx-1".into(),
        hostname: "workspace".into(),
        image: "/d/images/minimal/rootfs".into(),
        lowers: Vec::new(),
        layer: "/d/workspaces/1/layer".into(),
        merged: "/d/workspaces/1/stage".into(),
        control: "/d/runs/1".into(),
        runner: "/usr/bin/sandbox-runner".into(),
        binds: vec![Bind::same_path("/home/u/repo")],
        network: Network::Host,
        uid_base: 0x10_0000,
        limits: Limits::default(),
        registration: Registration::Off,
    }
}

#[test]
fn the_whole_command_line_is_as_written_here() {
    let expected = [
        "systemd-nspawn",
        "--quiet",
        "--settings=no",
        "--console=pipe",
        "--no-new-privileges=yes",
        "--private-users-ownership=off",
        "--link-journal=no",
        "--timezone=off",
        "--rlimit=CORE=1",
        "--rlimit=NOFILE=8192:65536",
        "--register=no",
        "--keep-unit",
        "--directory=/d/workspaces/1/stage/root",
        "--machine=sbx-1",
        "--hostname=workspace",
        "--private-users=1048576:65536",
        "--drop-capability=CAP_AUDIT_CONTROL,CAP_AUDIT_WRITE,CAP_DAC_READ_SEARCH,CAP_IPC_OWNER,CAP_LEASE,\
         CAP_LINUX_IMMUTABLE,CAP_MKNOD,CAP_NET_ADMIN,CAP_NET_BROADCAST,CAP_NET_RAW,CAP_SETFCAP,CAP_SYS_BOOT,\
         CAP_SYS_CHROOT,CAP_SYS_NICE,CAP_SYS_PTRACE,CAP_SYS_RESOURCE,CAP_SYS_TTY_CONFIG",
        "--resolv-conf=bind-host",
        "--bind-ro=/d/workspaces/1/stage/0:/run/sandboxed-sh/runner:noidmap",
        "--bind=/d/workspaces/1/stage/1:/run/sandboxed-sh/control:noidmap",
        "--bind=/d/workspaces/1/stage/2:/home/u/repo:noidmap",
        "/run/sandboxed-sh/runner",
        "init",
        "--control",
        "/run/sandboxed-sh/control",
    ];
    let plan = plan(&spec()).unwrap();
    assert_eq!(plan.argv, expected);
    let shifted = [("/usr/bin/sandbox-runner", 0), ("/d/runs/1", 1), ("/home/u/repo", 2)];
    let place = |number| PathBuf::from(format!("/d/workspaces/1/stage/{number}"));
    assert_eq!(plan.shifted, shifted.map(|(source, number)| (source.into(), place(number))));
}

#[test]
fn no_network_is_a_namespace_of_its_own() {
    let argv = plan(&SandboxSpec { network: Network::None, ..spec() }).unwrap().argv;
    assert!(argv.contains(&"--private-network".to_owned()));
    assert!(argv.contains(&"--resolv-conf=off".to_owned()));
}

#[test]
fn only_a_systemd_host_registers() {
    let argv = plan(&SandboxSpec { registration: Registration::Machined, ..spec() }).unwrap().argv;
    assert!(argv.contains(&"--register=yes".to_owned()) && !argv.contains(&"--keep-unit".to_owned()));
}

#[test]
fn what_is_kept_is_never_dropped_and_set_up_rights_are_few() {
    let dropped = dropped_capabilities();
    assert!(WORKLOAD_CAPABILITIES.iter().all(|c| !dropped.contains(c)));
    assert_eq!(
        dropped.len(),
        NSPAWN_CAPABILITIES.len() - WORKLOAD_CAPABILITIES.len() - SETUP_CAPABILITIES.len()
    );
}

#[test]
fn names_that_nspawn_or_a_path_would_misread_are_refused() {
    for bad in ["", "-a", "a-", "a/b", "..", "A", "a.b", &"a".repeat(49)] {
        let error = plan(&SandboxSpec { machine: bad.to_owned(), ..spec() }).unwrap_err();
        assert!(matches!(error, SpecError::Name { field: "machine", .. }), "{bad:?}");
    }
}

#[test]
fn a_bind_cannot_smuggle_options() {
    let bind = Bind { idmap: IdMap::None, ..Bind::same_path("/r:/etc:rootidmap") };
    let argv = plan(&SandboxSpec { binds: vec![bind], ..spec() }).unwrap().argv;
    assert!(argv.contains(&"--bind=/r\\:/etc\\:rootidmap:/r\\:/etc\\:rootidmap:noidmap".to_owned()));
}

#[test]
fn two_binds_at_one_place_are_refused() {
    let binds = vec![Bind::same_path("/r"), Bind::same_path("/r").read_only()];
    let error = plan(&SandboxSpec { binds, ..spec() }).unwrap_err();
    assert_eq!(error, SpecError::SameTarget { target: "/r".into() });
}

#[test]
fn a_range_outside_the_reserved_ids_is_refused() {
    for base in [0, 65_536, 0x10_0001, 0x7000_0000] {
        assert!(plan(&SandboxSpec { uid_base: base, ..spec() }).is_err(), "{base:#x}");
    }
}

#[test]
fn only_places_in_the_root_itself_are_made_beforehand() {
    let binds: Vec<Bind> = ["/home/u/repo", "/home/u/repo/.git", "/tmp/x"].map(Bind::same_path).into();
    let targets = |network| {
        let spec = SandboxSpec { network, binds: binds.clone(), ..spec() };
        plan(&spec)
            .unwrap()
            .mount_points
            .into_iter()
            .map(|m| m.target.display().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(targets(Network::None), ["/home/u/repo"]);
    assert_eq!(targets(Network::Host), ["/home/u/repo", "/etc/resolv.conf"]);
}
