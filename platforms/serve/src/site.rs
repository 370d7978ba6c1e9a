//! What one machine is served.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kolea_model::ServerNeeds;
use tokio_rustls::rustls::ServerConfig;

use crate::authority::Authority;
use crate::{Content, Fault, Request, ServeError};

/// Where every site has its authority's certificate, for configs that are written before it is made.
pub const CA_PATH: &str = "/kolea/ca.pem";
/// Where a site has the config that its machine would be given by its platform, for machines that are pointed to a config of their
/// own (`ignition.config.url`, which replaces all others) and have to merge it.
pub const CONFIG_PATH: &str = "/kolea/config.ign";

/// How many requests a site remembers; a machine that asks again and again is not to fill the memory.
const REMEMBERED: usize = 1_000;

/// What one machine is served, by path, and what it has asked for. It may change while the machine runs.
#[derive(Debug)]
pub struct Site {
    address: Ipv4Addr,
    authority: Authority,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    contents: BTreeMap<String, Content>,
    faults: BTreeMap<String, Fault>,
    /// What is left of those that URLs asked for.
    asked: BTreeMap<String, Fault>,
    requests: VecDeque<Request>,
}

impl Site {
    /// A site that has nothing but its authority's certificate, which the machine finds at that address.
    pub fn new(address: Ipv4Addr) -> Result<Site, ServeError> {
        let site = Site {
            address,
            authority: Authority::new(address)?,
            state: Mutex::default(),
        };
        site.put(CA_PATH, site.authority.pem.clone());
        Ok(site)
    }

    /// The same with what a machine is to find there from its start on.
    pub fn with(address: Ipv4Addr, needs: &ServerNeeds) -> Result<Site, ServeError> {
        let site = Site::new(address)?;
        for (path, served) in &needs.contents {
            site.put(path, served.clone());
        }
        for (path, fault) in &needs.faults {
            site.fault(path, *fault);
        }
        Ok(site)
    }

    /// The machine's URL of a path over HTTP.
    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The machine's URL of a path over HTTPS.
    pub fn https(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The certificate of the authority that vouches for the server, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.authority.pem
    }

    /// Serves something at a path, which begins with a slash; what was there is replaced.
    pub fn put(&self, path: &str, content: impl Into<Content>) {
        self.state()
            .contents
            .insert(path.to_owned(), content.into());
    }

    /// From the next request on, something goes wrong at that path, whatever is there.
    pub fn fault(&self, path: &str, fault: Fault) {
        self.state().faults.insert(path.to_owned(), fault);
    }

    /// What was asked for so far and has come to an end, oldest first; of very many the last.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.iter().cloned().collect()
    }

    pub(crate) fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.authority.tls)
    }

    /// What is at the path, or at the closest directory above, with the path below that.
    pub(crate) fn content(&self, path: &str) -> Option<(Content, String)> {
        let state = self.state();
        if let Some(content) = state.contents.get(path) {
            return Some((content.clone(), "/".to_owned()));
        }
        let mut above = path;
        while let Some((parent, _)) = above.rsplit_once('/') {
            let key = if parent.is_empty() { "/" } else { parent };
            if let Some(content @ Content::Directory(_)) = state.contents.get(key) {
                return Some((content.clone(), path[parent.len()..].to_owned()));
            }
            above = parent;
        }
        None
    }

    /// What goes wrong with this request: what was arranged for the path, or what the URL itself asks for (`?fault=truncated:10`).
    /// An error says why the latter can't be had.
    pub(crate) fn take_fault(
        &self,
        path: &str,
        query: Option<&str>,
    ) -> Result<Option<Fault>, String> {
        let mut state = self.state();
        if let Some(fault) = state.faults.get_mut(path) {
            return Ok(take(fault));
        }
        let parts = query.unwrap_or_default().split('&');
        let Some(text) = parts.filter_map(|part| part.strip_prefix("fault=")).next() else {
            return Ok(None);
        };
        let fault: Fault = text.parse()?;
        if !matches!(fault, Fault::Unavailable(_)) {
            return Ok(Some(fault));
        }
        if state.asked.len() == REMEMBERED {
            return Err(format!(
                "faults were asked for by {REMEMBERED} URLs already"
            ));
        }
        let url = format!("{path}?{}", query.unwrap_or_default());
        Ok(take(state.asked.entry(url).or_insert(fault)))
    }

    pub(crate) fn record(&self, request: Request) {
        let mut state = self.state();
        if state.requests.len() == REMEMBERED {
            state.requests.pop_front();
        }
        state.requests.push_back(request);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes wrong this time.
fn take(fault: &mut Fault) -> Option<Fault> {
    match fault {
        Fault::Unavailable(0) => None,
        Fault::Unavailable(left) => {
            *left -= 1;
            Some(Fault::Unavailable(*left))
        }
        fault => Some(*fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_directory_answers_what_no_path_does() {
        let site = Site::new(Ipv4Addr::LOCALHOST).unwrap();
        assert!(site.content("/a/b").is_none());
        site.put("/", Content::Directory("/root".into()));
        site.put("/a", Content::Directory("/other".into()));
        site.put("/a/b", "exact");
        let at = |path| match site.content(path) {
            Some((Content::Directory(directory), below)) => {
                format!("{}{below}", directory.display())
            }
            Some((Content::Bytes(bytes), _)) => String::from_utf8(bytes.to_vec()).unwrap(),
            _ => "nothing".to_owned(),
        };
        assert_eq!(at("/a/b"), "exact");
        assert_eq!(at("/a/c"), "/other/c");
        assert_eq!(at("/x/y"), "/root/x/y");
        assert_eq!(at("/"), "/root/");
        assert!(at(CA_PATH).starts_with("-----BEGIN CERTIFICATE-----"));
    }

    #[test]
    fn a_server_is_unavailable_as_often_as_it_is_to_be() {
        let site = Site::new(Ipv4Addr::LOCALHOST).unwrap();
        site.fault("/a", Fault::Unavailable(2));
        let take = |path, query| site.take_fault(path, query);
        assert_eq!(take("/a", None), Ok(Some(Fault::Unavailable(1))));
        assert_eq!(take("/a", None), Ok(Some(Fault::Unavailable(0))));
        assert_eq!(take("/a", None), Ok(None));
        assert_eq!(take("/b", Some("x=1")), Ok(None));
        // Each URL has its own count.
        let one = Some("fault=unavailable:1");
        assert_eq!(take("/b", one), Ok(Some(Fault::Unavailable(0))));
        assert_eq!(take("/b", one), Ok(None));
        assert_eq!(take("/c", one), Ok(Some(Fault::Unavailable(0))));
        assert!(take("/c", Some("fault=odd")).is_err());
    }
}
