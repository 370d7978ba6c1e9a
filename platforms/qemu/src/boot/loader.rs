//! Kernel arguments in the files of boot loaders.

/// Which file has the arguments of every boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// An entry of the Boot Loader Specification.
    Bls,
    /// A configuration of GRUB with one `linux` command.
    Grub,
}

impl Loader {
    /// The file with arguments added to those that it has; an error says what is wrong with the file.
    pub fn append(self, text: &str, args: &str) -> Result<String, String> {
        match self {
            Loader::Bls => Ok(append_to_entry(text, args)),
            Loader::Grub => append_to_grub(text, args),
        }
    }
}

/// Whether arguments can be written into such files.
pub fn check_args(args: &str) -> Result<(), String> {
    if args.contains(char::is_control) {
        return Err(format!("{args:?} has control characters"));
    }
    Ok(())
}

/// The last `options` line gets them; it may be there several times, or not at all.
fn append_to_entry(entry: &str, args: &str) -> String {
    let is_options = |line: &&str| line.split_whitespace().next() == Some("options");
    let last = entry.lines().filter(is_options).count();
    let mut seen = 0;
    let mut text = String::with_capacity(entry.len() + args.len() + 10);
    for line in entry.lines() {
        if is_options(&line) {
            seen += 1;
            if seen == last {
                text.push_str(&format!("{} {args}\n", line.trim_end()));
                continue;
            }
        }
        text.push_str(line);
        text.push('\n');
    }
    if last == 0 {
        text.push_str(&format!("options {args}\n"));
    }
    text
}

/// Commands of GRUB that load a kernel.
const LINUX: [&str; 3] = ["linux", "linux16", "linuxefi"];

fn append_to_grub(config: &str, args: &str) -> Result<String, String> {
    let is_linux = |line: &&str| {
        let command = line.split_whitespace().next();
        command.is_some_and(|command| LINUX.contains(&command))
    };
    let count = config.lines().filter(is_linux).count();
    if count != 1 {
        return Err(format!(
            "it has {count} `linux` commands, and one is expected"
        ));
    }
    let mut text = String::with_capacity(config.len() + 2 * args.len());
    for line in config.lines() {
        if is_linux(&line) {
            let line = line.trim_end();
            if line.ends_with('\\') {
                return Err("its `linux` command goes on in the next line".to_owned());
            }
            text.push_str(&format!("{line} {}\n", escaped(args, r##"\'"${}|&;<>#"##)));
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

/// The stamp of the first boot, which GRUB's configuration reads as a script, with arguments for that boot.
pub fn first_boot(stamp: &str, args: &str) -> String {
    let mut text = stamp.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!(
        "set ignition_network_kcmdline=\"{}\"\n",
        escaped(args, "\\\"$")
    ));
    text
}

fn escaped(text: &str, special: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENTRY: &str = "title Fedora CoreOS 42 (ostree:0)\nversion 1\noptions ignition.platform.id=qemu $ignition_firstboot ostree=/ostree/boot.1/x/0\nlinux /ostree/x/vmlinuz\ninitrd /ostree/x/initramfs.img\n";

    #[test]
    fn an_entry_gets_them_at_the_end_of_its_options() {
        let text = Loader::Bls.append(ENTRY, "a b=\"c d\" $e").unwrap();
        assert_eq!(
            text,
            ENTRY.replace("x/0\n", "x/0 a b=\"c d\" $e\n"),
            "{text}"
        );
        let twice = "options a\noptions b \nlinux /v";
        assert_eq!(
            Loader::Bls.append(twice, "c").unwrap(),
            "options a\noptions b c\nlinux /v\n"
        );
        assert_eq!(
            Loader::Bls.append("linux /v\n", "c").unwrap(),
            "linux /v\noptions c\n"
        );
    }

    #[test]
    fn a_grub_configuration_gets_them_at_the_end_of_its_linux_command() {
        let config = "set a=b\n  linux /v root=x $ignition_firstboot\ninitrd /i\nboot\n";
        assert_eq!(
            Loader::Grub.append(config, "quiet a=\"b\" c;d").unwrap(),
            "set a=b\n  linux /v root=x $ignition_firstboot quiet a=\\\"b\\\" c\\;d\ninitrd /i\nboot\n"
        );
        let none = Loader::Grub.append("blscfg\n", "a").unwrap_err();
        assert_eq!(none, "it has 0 `linux` commands, and one is expected");
        assert!(Loader::Grub.append("linux a\nlinux b\n", "c").is_err());
        assert!(Loader::Grub.append("linux a \\\n  b\n", "c").is_err());
    }

    #[test]
    fn the_first_boots_are_a_variable_of_grub() {
        assert_eq!(
            first_boot("", "rd.neednet=1 ip=dhcp"),
            "set ignition_network_kcmdline=\"rd.neednet=1 ip=dhcp\"\n"
        );
        assert_eq!(
            first_boot("set a=b", r#"c="$d\e""#),
            "set a=b\nset ignition_network_kcmdline=\"c=\\\"\\$d\\\\e\\\"\"\n"
        );
    }

    #[test]
    fn a_line_stays_a_line() {
        assert!(check_args("a b=c").is_ok());
        assert!(check_args("a\nb").is_err());
    }

    /// What GRUB makes of a string in double quotes, or of a word.
    fn unescaped(text: &str) -> String {
        let mut chars = text.chars();
        let mut plain = String::new();
        while let Some(c) = chars.next() {
            plain.extend(if c == '\\' { chars.next() } else { Some(c) });
        }
        plain
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_is_what_is_there(args in "[ -~]{1,40}", before in "[ -~]{0,20}") {
            let entry = format!("title {before}\noptions a\n");
            let text = Loader::Bls.append(&entry, &args).unwrap();
            prop_assert_eq!(text, format!("title {before}\noptions a {args}\n"));

            let text = Loader::Grub.append("linux /v a\nboot\n", &args).unwrap();
            let line = text.lines().next().unwrap();
            prop_assert_eq!(text.lines().count(), 2);
            prop_assert_eq!(unescaped(line), format!("linux /v a {args}"));

            let text = first_boot("", &args);
            let value = text.strip_prefix("set ignition_network_kcmdline=\"").unwrap();
            prop_assert_eq!(unescaped(value.strip_suffix("\"\n").unwrap()), args);
        }
    }
}
