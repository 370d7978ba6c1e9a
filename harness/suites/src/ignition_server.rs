//! `ignition.server`: Ignition fetches configs and files from the machine's own server, over HTTP and HTTPS, asks again where it has
//! to, and nothing else can be reached.

use std::time::Duration;

use kolea_machine::{NativeTest, TestContext, TestFailure, TestResult};
use kolea_model::{MachineNeeds, Served, ServerFault, ServerNeeds};
use kolea_serve::Request;

use crate::guest::expect;

/// The test.
pub const TEST: NativeTest = NativeTest {
    name: "ignition.server",
    description: "Ignition merges and replaces configs and fetches files over HTTP and HTTPS, from a server that fails at first",
    tags: &[],
    needs: || MachineNeeds {
        server: Some(server()),
        ..MachineNeeds::default()
    },
    machines: 1,
    run: |context| Box::pin(run(context)),
};

/// Replaced by what it refers to, which the server does not have to spare at once.
const FIRST: &str = r#"{"ignition":{"version":"3.1.0","config":{"replace":{
  "source":"http://10.0.2.10/replaced.ign?fault=unavailable:2"}}},
  "storage":{"files":[{"path":"/etc/kolea-first","contents":{"source":"data:,first"}}]}}"#;
/// Trusts the server's authority, and fetches the rest by that trust.
const REPLACED: &str = r#"{"ignition":{"version":"3.1.0",
  "security":{"tls":{"certificateAuthorities":[{"source":"http://10.0.2.10/kolea/ca.pem"}]}},
  "config":{"merge":[{"source":"https://10.0.2.10/merged.ign",
    "verification":{"hash":"sha256-439513f24e8461e9c4b6a210b9ea8b28fcefeb789fd85eec89216af00f3fb078"}}]}},
  "storage":{"files":[{"path":"/etc/kolea-plain","contents":{"source":"http://10.0.2.10/plain",
    "verification":{"hash":"sha256-4cd261b20be1b1189bc3b99e09db1ab9094e220b2c005c299f5fe251022541b2"}}}]}}"#;
const MERGED: &str = r#"{"ignition":{"version":"3.1.0"},
  "storage":{"files":[{"path":"/etc/kolea-secure","contents":{"source":"https://10.0.2.10/secure"}}]}}"#;
const PLAIN: &str = "fetched over HTTP\n";
const SECURE: &str = "fetched over HTTPS, slowly\n";
/// How fast that comes, in bytes a second, and what it takes at least.
const PACE: u64 = 20;
const LEAST: Duration = Duration::from_secs(1);

fn server() -> ServerNeeds {
    let texts = [
        ("/first.ign", FIRST),
        ("/replaced.ign", REPLACED),
        ("/merged.ign", MERGED),
        ("/plain", PLAIN),
        ("/secure", SECURE),
    ];
    ServerNeeds {
        contents: texts
            .map(|(path, text)| (path.to_owned(), Served::Text(text.to_owned())))
            .into(),
        faults: [("/secure".to_owned(), ServerFault::Slow(PACE))].into(),
        config: Some("/first.ign".to_owned()),
    }
}

async fn run(context: TestContext) -> TestResult {
    let files = context
        .check_ok("cat /etc/kolea-plain /etc/kolea-secure && ! test -e /etc/kolea-first")
        .await?;
    expect(
        files == format!("{PLAIN}{SECURE}").trim(),
        format!("Ignition has written {files:?}"),
    )?;
    asked(&context, "/first.ign", "http", &[200])?;
    asked(
        &context,
        "/replaced.ign?fault=unavailable:2",
        "http",
        &[503, 503, 200],
    )?;
    asked(&context, "/kolea/ca.pem", "http", &[200])?;
    asked(&context, "/merged.ign", "https", &[200])?;
    asked(&context, "/plain", "http", &[200])?;
    let slow = asked(&context, "/secure", "https", &[200])?;
    expect(
        slow.iter().all(|request| request.took >= LEAST),
        format!("{SECURE:?} came too fast: {slow:?}"),
    )?;
    later(&context).await
}

/// What the machine has asked for there; fails unless it was answered like that each time that it did. Stages of Ignition that are
/// there twice may ask twice.
fn asked(
    context: &TestContext,
    path: &str,
    scheme: &str,
    statuses: &[u16],
) -> Result<Vec<Request>, TestFailure> {
    let mut requests = context.site()?.requests();
    requests.retain(|request| request.path == path);
    let got: Vec<u16> = requests
        .iter()
        .filter_map(|request| request.status)
        .collect();
    let right = got.starts_with(statuses) && got[statuses.len()..].iter().all(|next| *next == 200);
    let ignition = |request: &Request| {
        let agent = request.agent.as_deref().unwrap_or_default();
        request.scheme == scheme && agent.starts_with("Ignition/")
    };
    expect(
        right && requests.iter().all(ignition),
        format!(
            "{path} was not asked for by Ignition over {scheme} with answers {statuses:?}: {requests:?}"
        ),
    )?;
    Ok(requests)
}

/// What is served may change while the machine runs.
async fn later(context: &TestContext) -> TestResult {
    if context.ssh("command -v curl").await?.status != 0 {
        context.log("no curl, so nothing is asked of the server now");
        return Ok(());
    }
    let site = context.site()?;
    let fetch = |options: &str| {
        format!(
            "curl --silent --show-error {options} {} {}",
            site.http("/later"),
            site.https("/later")
        )
    };
    site.put("/later", "later\n");
    context.put("/tmp/kolea-ca.pem", site.ca_pem()).await?;
    let trusting = fetch("--fail --cacert /tmp/kolea-ca.pem");
    let got = context.check_ok(&trusting).await?;
    expect(got == "later\nlater", format!("the server sent {got:?}"))?;
    // 60: the certificate is nobody's; 18: there should be more.
    let got = context
        .ssh(&fetch("--output /dev/null --output /dev/null"))
        .await?;
    expect(
        got.status == 60,
        format!(
            "without the authority, curl exited with status {}",
            got.status
        ),
    )?;
    site.fault("/later", ServerFault::Truncated(2));
    let got = context.ssh(&trusting).await?;
    expect(
        got.status == 18,
        format!(
            "of a truncated file, curl exited with status {}",
            got.status
        ),
    )
}
