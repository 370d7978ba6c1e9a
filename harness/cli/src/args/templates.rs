//! Flags of `kolea run` about templates, and about which tests share a machine.

use clap::{Args, ValueEnum};

/// Templates, clones and buckets.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Templates")]
pub struct TemplateArgs {
    /// Boot a machine for each test or bucket, rather than clone one that has booted
    #[arg(long)]
    pub no_templates: bool,
    /// Whether templates are kept for later runs, in the cache directory
    #[arg(long, value_enum, default_value_t = Switch::On, value_name = "on|off", hide_possible_values = true)]
    pub template_cache: Switch,
    /// What kept templates may occupy; the least recently used are removed first
    #[arg(long, default_value_t = 10240, value_name = "MIB")]
    pub template_cache_size: u64,
    /// Run this share of the tests that ran in clones on booted machines too, and compare
    #[arg(long, default_value = "0%", value_name = "N%", value_parser = parse_percent)]
    pub verify_templates: u8,
    /// Whether non-exclusive tests share a machine; `auto`: where that is faster than a clone for each
    #[arg(long, value_enum, default_value_t = BucketsArg::Auto)]
    pub buckets: BucketsArg,
}

/// `--template-cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// `--buckets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BucketsArg {
    /// Shared machines, as in kola.
    Always,
    /// Whatever is faster.
    Auto,
    /// A machine for each test.
    Never,
}

impl TemplateArgs {
    /// Which tests share machines: without templates, the alternative to sharing is a boot for each test, so that `auto`
    /// is `always`.
    pub fn buckets(&self) -> kolea_engine::Buckets {
        match self.buckets {
            BucketsArg::Always => kolea_engine::Buckets::Always,
            BucketsArg::Auto if self.no_templates => kolea_engine::Buckets::Always,
            BucketsArg::Auto => kolea_engine::Buckets::Auto,
            BucketsArg::Never => kolea_engine::Buckets::Never,
        }
    }

    /// Why the flags contradict each other, if they do.
    pub fn contradiction(&self) -> Option<&'static str> {
        (self.no_templates && self.verify_templates > 0)
            .then_some("--verify-templates cannot be used with --no-templates")
    }

    /// Whether templates are kept for later runs.
    pub fn keeps(&self) -> bool {
        !self.no_templates && self.template_cache == Switch::On
    }
}

fn parse_percent(text: &str) -> Result<u8, String> {
    match text.strip_suffix('%').unwrap_or(text).parse() {
        Ok(percent) if percent <= 100 => Ok(percent),
        _ => Err("must be a percentage from 0 to 100, such as `10%`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, command, parse};
    use crate::layers::Layers;
    use crate::program::Program;

    fn templates(arguments: &[&str]) -> Result<TemplateArgs, String> {
        let words = ["kolea", "run"].iter().chain(arguments).map(Into::into);
        match parse(command(Program::Kolea), words.collect(), &Layers::default())
            .map_err(|error| error.to_string())?
            .cli
            .command
        {
            Command::Run(run) => Ok(run.flags.templates),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_percentage_may_have_its_sign_and_stays_in_bounds() {
        assert_eq!(parse_percent("10%"), Ok(10));
        assert_eq!(parse_percent("100"), Ok(100));
        assert_eq!(parse_percent("0"), Ok(0));
        for wrong in ["101", "-1", "%", "", "1.5%", "10%%", "300%"] {
            assert!(parse_percent(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn templates_and_their_cache_are_on_unless_told_otherwise() {
        let default = templates(&[]).unwrap();
        assert!(!default.no_templates && default.keeps());
        assert_eq!(
            (default.verify_templates, default.template_cache_size),
            (0, 10240)
        );
        assert_eq!(default.buckets(), kolea_engine::Buckets::Auto);
        assert!(!templates(&["--template-cache", "off"]).unwrap().keeps());
        let without = templates(&["--no-templates"]).unwrap();
        assert!(!without.keeps());
        assert_eq!(without.buckets(), kolea_engine::Buckets::Always);
        let never = templates(&["--no-templates", "--buckets", "never"]).unwrap();
        assert_eq!(never.buckets(), kolea_engine::Buckets::Never);
        let contradicts = |arguments| templates(arguments).unwrap().contradiction().is_some();
        assert!(contradicts(&["--no-templates", "--verify-templates", "5%"]));
        assert!(!contradicts(&[
            "--no-templates=false",
            "--verify-templates",
            "5%"
        ]));
    }
}
