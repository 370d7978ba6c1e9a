//! The configs that the machine's own is made of.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use kolea_machine::Provisioning;
use kolea_model::UserConfig;
use serde_json::{Value, json};

use super::super::Failure;
use super::plan;
use crate::args::{Fragment, Invocation, QemuexecArgs};
use crate::settings::{Settings, append, path};

/// The person's own, those of all machines, and what the flags add.
pub fn read(
    invocation: &Invocation,
    settings: &Settings,
    args: &QemuexecArgs,
    devshell: bool,
) -> Result<Vec<UserConfig>, Failure> {
    let provisioning = settings.machines.provisioning;
    if provisioning != Provisioning::Ignition {
        return match for_ignition(args) {
            Some(flag) => Err(Failure::usage(anyhow!(
                "{flag} is for Ignition, and the machine is provisioned otherwise (--provision {provisioning}); leave one of them out"
            ))),
            None => Ok(Vec::new()),
        };
    }
    let mut configs = Vec::new();
    if let Some(file) = path(&args.ignition) {
        configs.push(append::ignition(file).map_err(Failure::usage)?);
    }
    if let Some(file) = path(&args.butane) {
        let machines = &invocation.cli.global.machines;
        configs.push(append::butane_config(machines, file).map_err(Failure::usage)?);
    }
    if args.ignition_direct {
        return Ok(configs);
    }
    configs.extend(settings.machines.append.iter().cloned());
    let mut add = |flag: &str, config: Value| {
        configs.push(UserConfig {
            path: PathBuf::from(flag),
            text: Arc::from(config.to_string()),
        });
    };
    if let Some(name) = plan::hostname(args, devshell) {
        add(
            "--hostname",
            files(&[("/etc/hostname", &format!("{name}\n"))]),
        );
    }
    let user = &settings.distro.profile.user;
    let mut fragments = args.add_ignition.clone();
    if devshell && !fragments.contains(&Fragment::AutoLogin) {
        fragments.push(Fragment::AutoLogin);
    }
    for fragment in fragments {
        add(
            "--add-ignition",
            match fragment {
                Fragment::AutoLogin => auto_login(user),
                Fragment::AutoResize => files(&[("/etc/profile.d/kolea-resize.sh", RESIZE)]),
                Fragment::NoAutoUpdate => files(&[(
                    "/etc/zincati/config.d/90-kolea.toml",
                    "[updates]\nenabled = false\n",
                )]),
            },
        );
    }
    Ok(configs)
}

/// A flag that only Ignition can do something with.
fn for_ignition(args: &QemuexecArgs) -> Option<&'static str> {
    let flags = [
        ("--ignition", args.ignition.is_some()),
        ("--butane", args.butane.is_some()),
        ("--add-ignition", !args.add_ignition.is_empty()),
        ("--inject-ignition", args.inject_ignition),
        ("--ignition-direct", args.ignition_direct),
        ("--hostname", args.hostname.is_some()),
        ("--devshell-console", args.devshell_console),
        ("--firstbootkargs", args.firstbootkargs.is_some()),
    ];
    let given = flags.into_iter().find(|(_, given)| *given);
    given.map(|(flag, _)| flag)
}

/// Asks the terminal at the other end of a serial line for its size, before every prompt: a serial line has none of its own.
const RESIZE: &str = r#"# The size of the terminal at the other end of a serial console.
kolea_resize() {
  local size
  IFS='[;' read -t 1 -rs -d R -p $'\e7\e[999;999H\e[6n\e8' _ rows columns 2>/dev/null || return 0
  size=$(stty size 2>/dev/null) || return 0
  [ "$size" = "$rows $columns" ] || stty rows "$rows" cols "$columns" 2>/dev/null
}
case $(tty 2>/dev/null) in
  /dev/ttyS* | /dev/ttyAMA* | /dev/hvc* | /dev/ttysclp*)
    [ -z "${BASH_VERSION-}" ] || PROMPT_COMMAND="kolea_resize${PROMPT_COMMAND:+;$PROMPT_COMMAND}"
    ;;
esac
"#;

/// kola's drop-ins: the user is logged in on the graphical and the serial consoles.
fn auto_login(user: &str) -> Value {
    let drop_in = format!(
        "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin {user} -o '-p -f {user}' --keep-baud 115200,38400,9600 %I $TERM\n"
    );
    let units = ["getty@.service", "serial-getty@.service"].map(|name| {
        json!({ "name": name, "dropins": [{ "name": "10-autologin.conf", "contents": drop_in }] })
    });
    json!({ "ignition": { "version": SPEC }, "systemd": { "units": units } })
}

/// A config with these files.
fn files(files: &[(&str, &str)]) -> Value {
    let files: Vec<Value> = files
        .iter()
        .map(|(path, text)| {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            json!({
                "path": path,
                "mode": 0o644,
                "overwrite": true,
                "contents": { "source": format!("data:,{encoded}") },
            })
        })
        .collect();
    json!({ "ignition": { "version": SPEC }, "storage": { "files": files } })
}

/// The oldest spec of Ignition 2: all that read any spec 3 read it.
const SPEC: &str = "3.0.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_ignition() {
        for config in [
            auto_login("core"),
            files(&[("/etc/hostname", "a\n"), ("/b", RESIZE)]),
        ] {
            kolea_butane::validate(&config.to_string()).unwrap();
        }
        let hostname = files(&[("/etc/hostname", "a b\n")]);
        let source = &hostname["storage"]["files"][0]["contents"]["source"];
        assert_eq!(source, "data:,%61%20%62%0a");
    }
}
