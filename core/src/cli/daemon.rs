//! `serve`, `daemon start|stop|status`, and the connection that every other verb begins with.

use std::io::Read;

use sandboxed_client::daemon::{
    Auth, Notice, StartOptions, StartOutcome, StateFiles, StopOutcome, ensure_running, start, status, stop,
};
use sandboxed_client::{Client, Settings, Token, TokenSource, parse_host};
use sandboxed_domain::api::{ApiError, ErrorCode};

use super::args::{AddressArgs, DaemonVerb};
use super::out::{self, Format};
use super::run::Outcome;
use crate::daemon::ServeOptions;

/// Exit status of `daemon status` when there is none.
const NOT_RUNNING: u8 = 3;

/// A client of a daemon that runs; what had to be done for it is said on stderr.
pub(super) async fn connect() -> Result<Client, ApiError> {
    let settings = Settings::from_env()?;
    ensure_running(&settings, &options(Auth::Token), &|notice: Notice| out::say(&notice.to_string())).await
}

/// This very program is the daemon's.
pub(super) fn options(auth: Auth) -> StartOptions {
    let chosen = std::env::var_os("SANDBOXED_SH_PROGRAM").is_some_and(|name| !name.is_empty());
    let program = if chosen { None } else { std::env::current_exe().ok() };
    StartOptions { program, auth }
}

/// `serve`.
pub(super) async fn serve(address: AddressArgs) -> Outcome {
    log_to_stderr();
    let (settings, auth) = settings(&address)?;
    crate::daemon::serve(settings, ServeOptions { no_token: auth == Auth::Open }).await?;
    Ok(0)
}

/// `daemon` and its verbs.
pub(super) async fn run(verb: DaemonVerb) -> Outcome {
    match verb {
        DaemonVerb::Start { address, json } => {
            let (settings, auth) = settings(&address)?;
            let outcome = start(&settings, &options(auth)).await?;
            let (word, process) = match outcome {
                StartOutcome::Started(process) => ("started", process),
                StartOutcome::AlreadyRunning(process) => ("already running", process),
            };
            out::say(&format!(
                "daemon {word} (pid {}, {}, log {})",
                process.pid,
                settings.endpoint,
                StateFiles::new(&settings).log.display()
            ));
            if json.json {
                out::json(&status(&settings, &options(auth)).await?)?;
            }
            Ok(0)
        }
        DaemonVerb::Stop { address } => {
            let (settings, _) = settings(&address)?;
            out::say(&match stop(&settings).await? {
                StopOutcome::Stopped(process) => format!("daemon stopped (pid {})", process.pid),
                StopOutcome::Killed(process) => {
                    format!("daemon did not answer and was killed (pid {})", process.pid)
                }
                StopOutcome::NotRunning => "daemon is not running".to_owned(),
            });
            Ok(0)
        }
        DaemonVerb::Status { address, json } => show_status(&address, Format::json(json.json)).await,
    }
}

async fn show_status(address: &AddressArgs, format: Format) -> Outcome {
    let (settings, auth) = settings(address)?;
    let status = status(&settings, &options(auth)).await?;
    match format {
        Format::Json => out::json(&status)?,
        Format::Text if !status.running => out::line("not running")?,
        Format::Text => {
            let state = match (status.healthy, status.outdated) {
                (false, _) => "running, but does not answer",
                (true, true) => "running, of another build: the next use replaces it",
                (true, false) => "running",
            };
            let pid = status.pid.map(|pid| pid.to_string()).unwrap_or_default();
            let build = status.build_id.clone().unwrap_or_default();
            out::line(&format!("{state} (pid {pid}, {}, build {build})", settings.endpoint))?;
            out::line(&format!("log {}", status.log.display()))?;
        }
    }
    Ok(match (status.running, status.healthy) {
        (false, _) => NOT_RUNNING,
        (true, false) => 1,
        (true, true) => 0,
    })
}

/// The environment's settings with what the command line says.
fn settings(address: &AddressArgs) -> Result<(Settings, Auth), ApiError> {
    let mut settings = Settings::from_env()?;
    if address.host.is_some() || address.port.is_some() {
        let host = address.host.as_deref().map(|host| parse_host("--host", host)).transpose()?;
        let (host, port) = (host.unwrap_or(settings.host), address.port.unwrap_or(settings.port));
        settings = settings.with_address(host, port);
    }
    if let Some(path) = &address.token_file {
        settings.token = TokenSource::File(path.clone());
    }
    if let Some(value) = &address.token {
        settings.token = TokenSource::Fixed(token(value, &mut std::io::stdin().lock())?);
    }
    Ok((settings, if address.no_token { Auth::Open } else { Auth::Token }))
}

/// `--token -`. Anything else would be a secret in argv, which every user of the machine can read.
fn token(value: &str, stdin: &mut dyn Read) -> Result<Token, ApiError> {
    if value != "-" {
        return Err(ApiError::invalid("--token", "a token on the command line can be read by every user")
            .hint(
                "write it to a file of mode 0600 and use --token-file PATH, or pipe it in with --token -",
            ));
    }
    let mut text = String::new();
    stdin
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|e| ApiError::new(ErrorCode::InvalidArgument, format!("stdin: {e}")).field("--token"))?;
    match text.trim() {
        "" => Err(ApiError::invalid("--token", "stdin held no token")),
        text => Ok(Token::new(text)),
    }
}

fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("SANDBOXED_SH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let format = std::env::var("SANDBOXED_SH_LOG_FORMAT").unwrap_or_default();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format.as_str() {
        "json" => builder.json().with_ansi(false).init(),
        "compact" => builder.compact().with_ansi(false).init(),
        _ => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_argv_is_refused_without_repeating_it() {
        let error = token("s3cr3t", &mut "".as_bytes()).unwrap_err();
        assert_eq!(error.code.exit_status(), 2);
        assert_eq!(error.field.as_deref(), Some("--token"));
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
        assert!(error.hint.contains("--token-file"));
    }

    #[test]
    fn a_token_comes_from_stdin() {
        assert_eq!(token("-", &mut "abc\n".as_bytes()).unwrap().expose(), "abc");
        assert!(token("-", &mut " \n".as_bytes()).is_err());
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let address = AddressArgs {
            host: Some("127.0.0.9".into()),
            port: Some(3999),
            token_file: Some("/t".into()),
            no_token: true,
            ..AddressArgs::default()
        };
        let (settings, auth) = settings(&address).unwrap();
        assert_eq!(settings.endpoint.to_string(), "http://127.0.0.9:3999");
        assert_eq!(settings.token, TokenSource::File("/t".into()));
        assert_eq!(auth, Auth::Open);
    }
}
