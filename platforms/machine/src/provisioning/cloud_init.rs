//! Provisioning by cloud-init, from the files of its data source NoCloud.

use serde_json::json;

/// The label of the file system that NoCloud looks for.
pub const LABEL: &str = "CIDATA";
/// The files on it: what the machine is, and what it is to do.
pub const FILES: [&str; 2] = ["meta-data", "user-data"];

/// What the machine is. All that kolea boots is the same instance, for which cloud-init does most things once: the image has not
/// seen it, and clones are not to do them again.
pub fn meta_data(hostname: &str) -> String {
    format!(
        "{}\n",
        json!({ "instance-id": "kolea", "local-hostname": hostname })
    )
}

/// What lets our key in as that user, who is made if need be, and who has sudo without a password.
pub fn user_data(user: &str, public_key: &str) -> String {
    let mut account = json!({ "name": user, "ssh_authorized_keys": [public_key] });
    let mut config = json!({ "disable_root": user != "root" });
    if user != "root" {
        account["sudo"] = json!("ALL=(ALL) NOPASSWD:ALL");
        account["lock_passwd"] = json!(true);
    }
    config["users"] = json!([account]);
    // JSON is YAML.
    format!("#cloud-config\n{config}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_files_are_yaml_that_json_can_read() {
        let read = |user: &str| -> Value {
            let text = user_data(user, "ssh-ed25519 AAAA kolea");
            serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap()
        };
        let core = read("core");
        assert_eq!(core["disable_root"], true);
        let account = &core["users"][0];
        assert_eq!(account["name"], "core");
        assert_eq!(account["sudo"], "ALL=(ALL) NOPASSWD:ALL");
        assert_eq!(account["ssh_authorized_keys"][0], "ssh-ed25519 AAAA kolea");
        let root = read("root");
        assert_eq!(root["disable_root"], false);
        assert_eq!(root["users"][0]["sudo"], Value::Null);
        let meta: Value = serde_json::from_str(&meta_data("qemu0")).unwrap();
        assert_eq!(meta["local-hostname"], "qemu0");
    }
}
