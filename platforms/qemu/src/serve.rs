//! A machine's own HTTP server, and the way to it.
//!
//! The guest reaches it at an address of its network that is always the same, restricted or not. QEMU starts a program for each
//! connection (`guestfwd=…-cmd:`): us, as [`kolea_serve::relay`]. It ends with the connection, and that ends with QEMU or with us.

use std::borrow::Cow;
use std::sync::Arc;

use kolea_machine::{MachineError, Provision};
use kolea_model::{MachineSpec, ServerNeeds, UserConfig};
use kolea_serve::{Server, Site};
use serde_json::json;

use crate::hardware::{Hardware, Places, Relayed};

/// The artefact with the requests.
const LOG: &str = "requests.txt";

/// What serves a machine.
#[derive(Debug)]
pub struct Served {
    /// What is there.
    pub site: Arc<Site>,
    /// Who answers.
    pub server: Server,
}

/// Starts the server, if the machine is to have one.
pub async fn start(
    spec: &MachineSpec,
    places: Places<'_>,
    hardware: &mut Hardware,
) -> Result<(), MachineError> {
    let Some(needs) = &spec.server else {
        return Ok(());
    };
    let fault = |error: kolea_serve::ServeError| {
        MachineError::Launch(format!("the machine's own server does not start: {error}"))
    };
    let site = Arc::new(Site::with(ServerNeeds::ADDRESS, needs).map_err(fault)?);
    let server = Server::start(Arc::clone(&site), &places.artefacts.join(LOG)).await;
    let server = server.map_err(fault)?;
    hardware.devices.server = Some(Relayed {
        // However the file is called, and whether it has been replaced since. QEMU ends when we do, so the number stays ours.
        program: format!("/proc/{}/exe", std::process::id()),
        addresses: server.addresses(),
    });
    hardware.served = Some(Served { site, server });
    Ok(())
}

/// What the first boot is to bring about, with the config on the server that is a part of that.
pub fn with_config<'a>(spec: &MachineSpec, provision: &'a Provision) -> Cow<'a, Provision> {
    let needs = spec.server.as_ref();
    let Some(path) = needs.and_then(|needs| needs.config.as_deref()) else {
        return Cow::Borrowed(provision);
    };
    let url = format!("http://{}{path}", ServerNeeds::ADDRESS);
    let merge = json!({
        "ignition": { "version": "3.0.0", "config": { "merge": [{ "source": url }] } },
    });
    let mut provision = provision.clone();
    provision.configs.push(UserConfig {
        path: url.into(),
        text: merge.to_string().into(),
    });
    Cow::Owned(provision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_config_is_merged_after_all_others() {
        let mut spec = MachineSpec::default();
        let provision = Provision::default();
        assert!(with_config(&spec, &provision).configs.is_empty());
        spec.server = Some(ServerNeeds {
            config: Some("/a.ign".to_owned()),
            ..ServerNeeds::default()
        });
        let told = with_config(&spec, &provision);
        let text = &*told.configs[0].text;
        assert!(
            text.contains(r#""source":"http://10.0.2.10/a.ign""#),
            "{text}"
        );
    }
}
