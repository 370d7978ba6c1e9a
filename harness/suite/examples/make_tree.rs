//! Makes a test tree of any size, in the manner of the large ones: `make_tree DIR TESTS CONFIGS [RUNS]`. Every test has a
//! directory of its own and shares its data by a symlink, and the first CONFIGS of them have a Butane config. With RUNS, the tree
//! is then loaded that often, and the fastest time and the process's largest size are printed.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kolea_suite::{TestTree, load};

const CONFIG: &str = "variant: fcos
version: 1.5.0
storage:
  files:
    - path: /etc/example.conf
      mode: 0644
      contents:
        inline: |
          first=1
          second=2
    - path: /usr/local/bin/example
      mode: 0755
      contents:
        inline: |
          #!/bin/bash
          echo example
  directories:
    - path: /var/lib/example
systemd:
  units:
    - name: example.service
      enabled: true
      contents: |
        [Service]
        Type=oneshot
        ExecStart=/usr/local/bin/example
        [Install]
        WantedBy=multi-user.target
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| args.get(index).and_then(|text| text.parse::<usize>().ok());
    let (Some(dir), Some(tests), Some(configs)) = (args.first(), number(1), number(2)) else {
        eprintln!("usage: make_tree DIR TESTS CONFIGS [RUNS]");
        return ExitCode::from(2);
    };
    let dir = Path::new(dir);
    if let Err(error) = make(dir, tests, configs) {
        eprintln!(
            "make_tree: cannot make the tree in {}: {error}",
            dir.display()
        );
        return ExitCode::FAILURE;
    }
    if let Some(runs) = number(3) {
        measure(dir, runs);
    }
    ExitCode::SUCCESS
}

fn make(dir: &Path, tests: usize, configs: usize) -> io::Result<()> {
    let root = dir.join("tests/kola");
    fs::create_dir_all(root.join("data"))?;
    fs::write(
        root.join("data/commonlib.sh"),
        "fatal() { echo \"$*\"; exit 1; }\n".repeat(20),
    )?;
    for index in 0..tests {
        let test = root.join(format!("group{}/test{index}", index / 20));
        fs::create_dir_all(&test)?;
        symlink("../../data", test.join("data"))?;
        if index < configs {
            fs::write(test.join("config.bu"), CONFIG)?;
        }
        let script = test.join("test.sh");
        fs::write(&script, script_text(index, index < configs))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn script_text(index: usize, exclusive: bool) -> String {
    format!(
        "#!/bin/bash\n## kola:\n##   # Why: because.\n##   exclusive: {exclusive}\n##   tags: \"platform-independent group{}\"\n##   distros: fcos\n\
         ##   architectures: \"! s390x\"\n##   timeoutMin: 15\n##   description: Verify that the thing number {index}\n##     works as it should.\n\n\
         set -xeuo pipefail\n\n# shellcheck disable=SC1091\n. \"$KOLA_EXT_DATA/commonlib.sh\"\n\n{}",
        index / 20,
        "if ! systemctl is-active -q example.service; then\n    fatal \"not active\"\nfi\n"
            .repeat(20)
    )
}

fn measure(dir: &Path, runs: usize) {
    let tree = TestTree {
        dir: dir.join("tests/kola"),
        prefix: "ext.made".to_owned(),
    };
    let mut fastest = Duration::MAX;
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        let suite = load(std::slice::from_ref(&tree));
        fastest = fastest.min(start.elapsed());
        drop(suite);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    println!("{fastest:?} {}", peak.unwrap_or_default());
}
