//! Figures for Prometheus: read when they are asked for, so that nothing is counted twice or kept up to date in vain.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use sandboxed_domain::api::{ApiError, ErrorCode, SandboxState, StorageFolder, StorageUse, WorkspaceView};
use sandboxed_domain::mission::MissionStatus;

use super::App;
use crate::store;

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<i64>>;

impl App {
    /// All figures as Prometheus text.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn metrics(&self) -> Result<String, ApiError> {
        let missions = self.store.read(store::count_missions).await?;
        let workspaces = self.list_workspaces().await?;
        let requests = self.requests().await?.len();
        let events = *self.store.watch_events().borrow();
        let mut registry = Registry::with_prefix("sandboxed_sh");
        registry.register(
            "build",
            "What is running",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        of_missions(&mut registry, &missions);
        of_workspaces(&mut registry, &workspaces);
        of_folders(&mut registry, &workspaces, self.workspaces.global_use().await);
        gauge(&mut registry, "requests_open", "Permissions, questions and plans that wait", requests as i64);
        let written: Counter = Counter::default();
        written.inc_by(events.unsigned_abs());
        registry.register("events", "Events written to the log so far", written);
        if let Ok(disk) = nix::sys::statvfs::statvfs(self.workspaces.data_dir()) {
            let bytes = |blocks| i64::try_from(blocks * disk.fragment_size()).unwrap_or(i64::MAX);
            let free = bytes(disk.blocks_available());
            gauge(&mut registry, "disk_free_bytes", "Free space of the data directory's file system", free);
            let size = bytes(disk.blocks());
            gauge(&mut registry, "disk_size_bytes", "Size of that file system", size);
        }
        let mut text = String::new();
        encode(&mut text, &registry)
            .map_err(|error| ApiError::new(ErrorCode::Internal, format!("metrics: {error}")))?;
        Ok(text)
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn of_missions(registry: &mut Registry, counted: &[(MissionStatus, u64)]) {
    let family = Gauges::default();
    for (status, count) in counted {
        family.get_or_create(&vec![("status", status.as_str().to_owned())]).set(count.cast_signed());
    }
    registry.register("missions", "Missions by status", family);
}

fn of_workspaces(registry: &mut Registry, views: &[WorkspaceView]) {
    let states = Gauges::default();
    for (state, word) in [
        (SandboxState::Ready, "ready"),
        (SandboxState::Busy, "busy"),
        (SandboxState::Stopped, "stopped"),
        (SandboxState::Error, "error"),
    ] {
        let count = views.iter().filter(|view| view.state == state).count();
        states.get_or_create(&vec![("state", word.to_owned())]).set(count as i64);
    }
    registry.register("workspaces", "Workspaces by the state of their sandbox", states);
    let (memory, processes) = (Gauges::default(), Gauges::default());
    let cpu: Family<Labels, Counter<f64, AtomicU64>> = Family::default();
    for (view, used) in views.iter().filter_map(|view| Some((view, view.usage?))) {
        let labels = vec![("workspace", view.name.clone())];
        memory.get_or_create(&labels).set(used.memory_bytes.cast_signed());
        processes.get_or_create(&labels).set(used.pids.cast_signed());
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of many years fit")]
        cpu.get_or_create(&labels).inc_by(used.cpu_ms as f64 / 1000.0);
    }
    registry.register_with_unit("workspace_memory", "Memory of a running sandbox", Unit::Bytes, memory);
    registry.register_with_unit("workspace_cpu", "Processor time of a running sandbox", Unit::Seconds, cpu);
    let disk = Gauges::default();
    for (view, bytes) in views.iter().filter_map(|view| Some((view, view.disk_bytes?))) {
        disk.get_or_create(&vec![("workspace", view.name.clone())]).set(bytes.cast_signed());
    }
    registry.register_with_unit("workspace_disk", "What a workspace takes of the disk", Unit::Bytes, disk);
    registry.register("workspace_processes", "Processes and threads of a running sandbox", processes);
}

/// The global folder has no workspace.
fn of_folders(registry: &mut Registry, views: &[WorkspaceView], global: StorageUse) {
    let (used, quota) = (Gauges::default(), Gauges::default());
    let inboxes = views.iter().map(|view| (StorageFolder::Inbox, view.name.as_str(), view.inbox_use));
    for (folder, workspace, fill) in inboxes.chain([(StorageFolder::Global, "", global)]) {
        let labels = vec![("folder", folder.as_str().to_owned()), ("workspace", workspace.to_owned())];
        used.get_or_create(&labels).set(fill.used_bytes.cast_signed());
        quota.get_or_create(&labels).set(fill.quota_bytes.cast_signed());
    }
    registry.register_with_unit("shared_folder_used", "What lies in a shared folder", Unit::Bytes, used);
    registry.register_with_unit("shared_folder_quota", "What it may hold", Unit::Bytes, quota);
}
