//! What GRUB and SYSLINUX boot, as their configuration files say.

use serde::Serialize;

/// An entry of a boot menu.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MenuEntry {
    /// The file it is in.
    pub config: String,
    /// What the menu shows; empty if there is no menu.
    pub title: String,
    /// The kernel's path.
    pub kernel: String,
    /// The paths of its initramfs, in order.
    pub initrds: Vec<String>,
    /// The kernel arguments.
    pub kargs: String,
}

/// The entries of a `grub.cfg` that boot Linux. No variables, functions or conditions: live images have none where it counts.
pub(crate) fn grub(config: &str, text: &str) -> Vec<MenuEntry> {
    let mut entries: Vec<MenuEntry> = Vec::new();
    for line in text.lines().map(str::trim) {
        let (command, rest) = command(line);
        match command {
            "menuentry" => entries.push(MenuEntry {
                config: config.to_owned(),
                title: printable(quoted(rest)),
                ..MenuEntry::default()
            }),
            "linux" | "linuxefi" | "linux16" => {
                let (kernel, kargs) = self::command(rest);
                // Without a menu it is what is booted at once.
                if entries.is_empty() {
                    entries.push(MenuEntry {
                        config: config.to_owned(),
                        ..MenuEntry::default()
                    });
                }
                if let Some(entry) = entries.last_mut() {
                    entry.kernel = on_image(kernel);
                    entry.kargs = printable(kargs);
                }
            }
            "initrd" | "initrdefi" | "initrd16" => {
                if let Some(entry) = entries.last_mut() {
                    entry.initrds = rest.split_whitespace().map(on_image).collect();
                }
            }
            _ => {}
        }
    }
    entries.retain(|entry| !entry.kernel.is_empty());
    entries
}

/// The entries of an `isolinux.cfg` that boot Linux.
pub(crate) fn syslinux(config: &str, text: &str) -> Vec<MenuEntry> {
    let directory = config
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory);
    let below = |path: &str| match path.strip_prefix('/') {
        Some(_) => printable(path),
        None => printable(&format!("{directory}/{path}")),
    };
    let mut entries: Vec<MenuEntry> = Vec::new();
    for line in text.lines().map(str::trim) {
        let (command, rest) = command(line);
        let word = command.to_ascii_lowercase();
        if word == "label" {
            entries.push(MenuEntry {
                config: config.to_owned(),
                title: printable(rest),
                ..MenuEntry::default()
            });
            continue;
        }
        let Some(entry) = entries.last_mut() else {
            continue;
        };
        match word.as_str() {
            "menu" => {
                let (what, title) = self::command(rest);
                if what.eq_ignore_ascii_case("label") {
                    // The letter behind the caret is a short cut.
                    entry.title = printable(&title.replace('^', ""));
                }
            }
            // A module of SYSLINUX itself is no kernel.
            "kernel" | "linux" if !rest.ends_with(".c32") => entry.kernel = below(rest),
            "initrd" => entry.initrds = rest.split(',').map(below).collect(),
            "append" => {
                let mut kargs = Vec::new();
                for argument in rest.split_whitespace() {
                    match argument.strip_prefix("initrd=") {
                        Some(paths) => entry.initrds = paths.split(',').map(below).collect(),
                        None => kargs.push(argument),
                    }
                }
                entry.kargs = printable(&kargs.join(" "));
            }
            _ => {}
        }
    }
    entries.retain(|entry| !entry.kernel.is_empty());
    entries
}

fn command(line: &str) -> (&str, &str) {
    match line.split_once(char::is_whitespace) {
        Some((command, rest)) => (command, rest.trim()),
        None => (line, ""),
    }
}

/// The first argument, which may be quoted.
fn quoted(text: &str) -> &str {
    match text.chars().next() {
        Some(quote @ ('\'' | '"')) => text[1..].split(quote).next().unwrap_or_default(),
        _ => command(text).0,
    }
}

/// A path without GRUB's device, as in `($root)/vmlinuz`.
fn on_image(path: &str) -> String {
    let path = match path.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((_, path)) => path,
        None => path,
    };
    printable(path)
}

fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control(), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grubs_menu_is_read() {
        let text = "set timeout=5\ninitrd /of-nothing\nmenuentry 'A B (Live)' --class os {\n\
            \tlinux ($root)/images/pxeboot/vmlinuz a=1 b\n####\n\tinitrd /initrd.img /ignition.img\n}\n\
            menuentry \"Firmware\" {\n\tfwsetup\n}\nmenuentry C {\nlinuxefi /vmlinuz\n}\n";
        let entries = grub("/EFI/x/grub.cfg", text);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].title, "A B (Live)");
        assert_eq!(entries[0].kernel, "/images/pxeboot/vmlinuz");
        assert_eq!(entries[0].initrds, ["/initrd.img", "/ignition.img"]);
        assert_eq!(entries[0].kargs, "a=1 b");
        assert_eq!(
            (entries[1].title.as_str(), entries[1].kargs.as_str()),
            ("C", "")
        );
    }

    #[test]
    fn grub_needs_no_menu() {
        let entries = grub(
            "/boot/grub/grub.cfg",
            "set timeout=0\nlinux /k a\ninitrd /i\nboot\n",
        );
        assert_eq!(entries.len(), 1);
        assert_eq!(
            (entries[0].title.as_str(), entries[0].kernel.as_str()),
            ("", "/k")
        );
        assert_eq!(entries[0].initrds, ["/i"]);
    }

    #[test]
    fn syslinuxs_menu_is_read() {
        let text = "default vesamenu.c32\nlabel linux\n  menu label ^A B\n  kernel vmlinuz\n  append initrd=initrd.img,/x.img a=1 b\n\
            label memtest\n  kernel memtest.c32\nLABEL c\n  LINUX /k\n  INITRD i\n";
        let entries = syslinux("/isolinux/isolinux.cfg", text);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].title, "A B");
        assert_eq!(entries[0].kernel, "/isolinux/vmlinuz");
        assert_eq!(entries[0].initrds, ["/isolinux/initrd.img", "/x.img"]);
        assert_eq!(entries[0].kargs, "a=1 b");
        assert_eq!(entries[1].kernel, "/k");
        assert_eq!(entries[1].initrds, ["/isolinux/i"]);
    }
}
