//! The smallest daemon: what `sandboxed-sh serve` does for its lifecycle, and nothing else. The lifecycle tests
//! run it. `<data dir>/behaviour` may hold `fail` (ends before it serves) or `stubborn` (ignores SIGTERM).

use axum::{Json, Router, routing::get};
use sandboxed_client::{
    Settings,
    daemon::{DaemonLock, ReadySignal, own_build_id},
};
use sandboxed_domain::api::{ApiError, HealthResponse};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

#[expect(clippy::print_stderr, reason = "a program's own log")]
fn log(text: &str) {
    eprintln!("{text}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    match serve().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            log(&e.to_string());
            std::process::ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let ready = ReadySignal::from_env();
    let settings = Settings::from_env()?;
    let lock = DaemonLock::acquire(&settings)?;
    let listener = TcpListener::from_std(lock.bind()?)?;
    let behaviour = std::fs::read_to_string(settings.data_dir.join("behaviour")).unwrap_or_default();
    if behaviour == "fail" {
        return Err(ApiError::invalid("behaviour", "told to fail").into());
    }
    let build_id = own_build_id()?;
    let mut terminate = signal(SignalKind::terminate())?;
    lock.publish(&build_id)?;
    log(&format!("serving as pid {}", std::process::id()));
    ready.send();
    let health = HealthResponse {
        status: "ok".into(),
        version: "0".into(),
        build_id,
        auth_required: false,
        pid: std::process::id(),
    };
    let app = Router::new().route("/api/health", get(move || async move { Json(health) }));
    let stop = async move {
        terminate.recv().await;
        if behaviour == "stubborn" {
            std::future::pending::<()>().await;
        }
    };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    drop(lock);
    Ok(())
}
