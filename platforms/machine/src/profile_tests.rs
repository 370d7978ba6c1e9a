use super::*;

#[test]
fn every_profile_is_read() {
    assert_eq!(
        Profile::names(),
        ["fcos", "rhcos", "scos", "nestos", "flatcar", "generic"]
    );
    assert_eq!(PROFILES.len(), BUILTIN.len());
    assert_eq!(Profile::builtin("nestos").unwrap().user, "nest");
    assert_eq!(Profile::builtin("fcos").unwrap().variant_ids, ["coreos"]);
    assert_eq!(Profile::builtin("plan9"), None);
}

#[test]
fn builds_and_machines_tell_their_profile() {
    let build = |name: &str| Profile::of_build_name(name).map(|profile| profile.name);
    assert_eq!(build("fedora-coreos").as_deref(), Some("fcos"));
    assert_eq!(build("NestOS-For-Container").as_deref(), Some("nestos"));
    assert_eq!(build("scos").as_deref(), Some("scos"));
    assert_eq!(build("fcos"), None);
    let machine = |id: &str, variant: Option<&str>| {
        Profile::of_os_release(id, variant).map(|profile| profile.name)
    };
    for (id, variant, name) in [
        ("fedora", Some("coreos"), Some("fcos")),
        ("fedora", Some("silverblue"), None),
        ("fedora", None, None),
        ("rhcos", Some("coreos"), Some("rhcos")),
        ("rhel", Some("coreos"), Some("rhcos")),
        ("rhel", None, None),
        ("scos", Some("coreos"), Some("scos")),
        ("centos", Some("coreos"), Some("scos")),
        ("nestos", Some("container"), Some("nestos")),
        ("nestos", None, Some("nestos")),
        ("flatcar", None, Some("flatcar")),
        ("fixture", Some("coreos"), None),
        ("", None, None),
    ] {
        assert_eq!(machine(id, variant).as_deref(), name, "{id} {variant:?}");
    }
}

#[test]
fn live_isos_tell_their_profile() {
    for (label, name) in [
        ("fedora-coreos-38.20230718.dev.0", Some("fcos")),
        ("rhcos-46.82.202112161843-0", Some("rhcos")),
        ("nestos-24.03-LTS.20240905", Some("nestos")),
        ("NestOS-For-Container-24.03", Some("nestos")),
        ("nestos", None),
        ("fedora-coreosx-1", None),
        ("", None),
    ] {
        let profile = Profile::of_volume_label(label);
        assert_eq!(profile.map(|profile| profile.name).as_deref(), name);
    }
    assert_eq!(Profile::iso_directories(), ["coreos", "nestos"]);
}

#[test]
fn a_profile_that_fits_os_release_accepts_it() {
    for profile in PROFILES.iter() {
        for release in &profile.os_release {
            let variant = release.variant_id.clone().unwrap_or_default();
            assert!(
                profile.variant_ids.is_empty() || profile.variant_ids.contains(&variant),
                "{}",
                profile.name
            );
        }
    }
}

fn load(text: &str) -> Result<Profile, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("own.toml");
    std::fs::write(&path, text).unwrap();
    Profile::load(&path).map_err(|error| {
        let dir = format!("{}/", dir.path().display());
        error.to_string().replace(&dir, "")
    })
}

#[test]
fn a_users_own_profile_is_like_ours() {
    let profile = load(
        "name = 'own'\nuser = 'admin'\nsshd_unit = 'ssh'\n[[files]]\npath = '/etc/x'\nmode = 0o440\n\
         contents = ''\n[[console_patterns]]\nname = 'soft lockup'\npattern = 'CPU#(\\d+) stuck'\nwarn = true\n",
    )
    .unwrap();
    assert_eq!(profile.home(), "/home/admin");
    assert_eq!(
        (profile.sshd_unit.as_str(), profile.files[0].mode),
        ("ssh", 0o440)
    );
    assert!(profile.console_patterns[0].warn);
    assert_eq!(profile.provision, Provisioning::Ignition);
    let bootc = "name = 'bootc'\nuser = 'root'\nprovision = 'cloud-init'\n";
    assert_eq!(load(bootc).unwrap().provision, Provisioning::CloudInit);
    assert_eq!(profile.ignition_journal_port, "com.coreos.ignition.journal");
}

#[test]
fn errors_name_the_line() {
    let head = "name = 'own'\nuser = 'admin'\n";
    for (text, message) in [
        (
            "user = 'x'\n".to_owned(),
            "own.toml:1: not a profile: missing field `name`",
        ),
        (
            format!("{head}colour = 1\n"),
            "own.toml:3: not a profile: unknown field `colour`",
        ),
        (
            format!("{head}\nsshd_unit = 'ssh.service'\n"),
            "own.toml:4: not a profile: `ssh.service`: leave `.service` out",
        ),
        (
            format!("{head}provision = 'magic'\n"),
            "own.toml:3: not a profile: unknown variant `magic`, expected one of `ignition`, `credentials`, `cloud-init`, `none`",
        ),
        (
            "name = 'own'\nuser = 'a; rm'\n".to_owned(),
            "own.toml:2: not a profile: `a; rm` is no name",
        ),
        (
            format!("{head}[[files]]\npath = '/x'\nmode = 644\ncontents = ''\n"),
            "own.toml:5: not a profile: 644 is no file mode: octal numbers begin with 0o",
        ),
        (
            format!("{head}[[files]]\npath = 'x'\ncontents = ''\n"),
            "own.toml:4: not a profile: `x` is no absolute path of a file",
        ),
        (
            format!("{head}[[console_patterns]]\nname = 'x'\npattern = '(a'\n"),
            "own.toml:5: not a profile: `(a` is no regular expression: unclosed group",
        ),
        (format!("{head}[[files\n"), "own.toml:3: not a profile: "),
    ] {
        let error = load(&text).unwrap_err();
        assert!(error.starts_with(message), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let missing = Profile::load(Path::new("/nowhere/own.toml")).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("cannot read the profile /nowhere/own.toml: ")
    );
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in ".*") {
        let _ = load(&text);
    }
}
