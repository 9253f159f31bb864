//! The sandbox of a workspace while it is used: started at the first use, adopted after a restart, shared by its runs.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sandboxed_domain::api::{
    ApiError, BuildProgress, ErrorCode, Limits, NetworkMode, WorkspaceKind, WorkspaceUsage,
};
use sandboxed_domain::policy::{INBOX_DIR, check_network};
use sandboxed_domain::sandbox as domain;
use sandboxed_domain::sandbox::{Bind, IdMap, Network, Registration, SandboxSpec};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;
use uuid::Uuid;

use super::fork::read_only_trees;
use super::inside::program_binds;
use super::paths::short;
use super::records::Workspaces;
use crate::sandbox::fill::writes_into;
use crate::sandbox::network::{proxy_env, resolv_conf};
use crate::sandbox::{
    Group, HostRunner, LimitWatch, RunnerHandle, START_PATIENCE, Sandbox, SandboxError, name_and_state,
    prepare_repository, runner_path,
};
use crate::store::{WorkspaceRow, io_error, make_private};

/// Memory of one run when nobody says: 4 GiB.
const RUN_MEMORY: u64 = 4 << 30;
/// Processes and threads of one run when nobody says.
const RUN_PIDS: u32 = 1024;

/// Where runs live: a container's sandbox or the host's runner.
#[derive(Debug)]
pub enum Live {
    /// systemd-nspawn.
    Container(Sandbox),
    /// The machine itself.
    Host(HostRunner),
}

impl Live {
    /// Which kind of workspace it is.
    pub fn kind(&self) -> WorkspaceKind {
        match self {
            Self::Container(_) => WorkspaceKind::Container,
            Self::Host(_) => WorkspaceKind::Host,
        }
    }

    /// Its runs.
    pub fn runner(&self) -> &RunnerHandle {
        match self {
            Self::Container(sandbox) => sandbox.runner(),
            Self::Host(host) => host.runner(),
        }
    }

    /// Whether its first process lives.
    pub fn is_alive(&self) -> bool {
        match self {
            Self::Container(sandbox) => sandbox.is_alive(),
            Self::Host(host) => host.is_alive(),
        }
    }

    /// Completes when it has ended; never when that cannot be watched.
    pub async fn died(&self) {
        let ended = match self {
            Self::Container(sandbox) => sandbox.died().await,
            Self::Host(host) => host.died().await,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the end of a sandbox cannot be watched");
            std::future::pending::<()>().await;
        }
    }

    /// Ends it with everything in it.
    ///
    /// # Errors
    /// Something would not end.
    pub async fn stop(&self, grace: Duration) -> Result<(), ApiError> {
        match self {
            Self::Container(sandbox) => sandbox.stop(grace).await.map(drop)?,
            Self::Host(host) => host.stop(grace).await?,
        }
        Ok(())
    }

    /// Whether a run is in it.
    pub async fn busy(&self) -> bool {
        self.runner().hello().await.is_ok_and(|runs| runs.iter().any(|run| run.exit.is_none()))
    }

    /// What all of it uses now; none for the host's runner without groups.
    pub fn usage(&self) -> Option<WorkspaceUsage> {
        let used = self.runner().cgroup()?.whole().usage().ok()?;
        Some(WorkspaceUsage {
            memory_bytes: used.memory_bytes,
            memory_peak_bytes: used.memory_peak_bytes,
            cpu_ms: used.cpu_micros / 1000,
            pids: used.pids,
        })
    }

    fn group(&self, run: &str) -> Option<Group> {
        self.runner().cgroup()?.run(run).ok().filter(Group::exists)
    }

    /// Whether a process of the host is in the run's cgroup.
    pub fn holds(&self, run: &str, pid: i32) -> bool {
        if self.runner().cgroup().is_none() {
            // Sandboxes always have groups; nothing separates the host's runs from their owner then.
            return true;
        }
        self.group(run).and_then(|group| group.processes().ok()).is_some_and(|members| members.contains(&pid))
    }

    /// Processor time of the run, and its processes by name and state as the kernel tells them (`S` sleeps, `R` runs,
    /// `D` waits for a device); none where it has no cgroup.
    pub fn life(&self, run: &str) -> Option<(Duration, Vec<(String, char)>)> {
        let group = self.group(run)?;
        let cpu = Duration::from_micros(group.usage().ok()?.cpu_micros);
        Some((cpu, group.processes().ok()?.into_iter().filter_map(name_and_state).collect()))
    }

    /// Processes that write into the workspace's inbox now.
    pub fn writers(&self, inbox: &Path) -> BTreeSet<i32> {
        let inbox = match self {
            Self::Container(_) => Path::new(INBOX_DIR),
            Self::Host(_) => inbox,
        };
        let whole = self.runner().cgroup().and_then(|cgroup| cgroup.whole().processes().ok());
        whole.unwrap_or_default().into_iter().filter(|pid| writes_into(*pid, inbox)).collect()
    }

    /// Whether one of these processes is the run's.
    pub fn has_one_of(&self, run: &str, processes: &BTreeSet<i32>) -> bool {
        let members = self.group(run).and_then(|group| group.processes().ok()).unwrap_or_default();
        !members.is_disjoint(processes)
    }

    /// Told when a limit of the run was hit; none where there are no limits.
    pub fn watch_limits(&self, run: &str) -> Option<LimitWatch> {
        self.group(run)?.watch_limits().ok()
    }

    /// Processes of the run that the kernel ended for want of memory.
    pub fn oom_kills(&self, run: &str) -> u64 {
        self.group(run).and_then(|group| group.oom_kills().ok()).unwrap_or(0)
    }

    /// Forks that the run was refused.
    pub fn refused_forks(&self, run: &str) -> u64 {
        self.group(run).and_then(|group| group.refused_forks().ok()).unwrap_or(0)
    }
}

/// The limits of one run.
pub fn run_limits(asked: &Limits) -> domain::Limits {
    domain::Limits {
        memory_bytes: Some(asked.memory_bytes.filter(|n| *n > 0).unwrap_or(RUN_MEMORY)),
        cpu_millis: asked.cpu_millis.filter(|n| *n > 0),
        pids: Some(asked.pids.filter(|n| *n > 0).unwrap_or(RUN_PIDS)),
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Live>>>>;

/// The live ones, each behind a lock of its own so that two starters make one.
#[derive(Default)]
pub(super) struct Places {
    slots: Mutex<HashMap<Uuid, Slot>>,
    /// When each running container was last asked for.
    used: Mutex<HashMap<Uuid, Instant>>,
    first: Notify,
}

impl Places {
    pub(super) fn slot(&self, id: Uuid) -> Slot {
        Arc::clone(self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default())
    }

    /// Notes that a container is being used. The host's runner is not stopped for want of use.
    pub(super) fn touch(&self, id: Uuid) {
        if !id.is_nil() {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Instant::now());
            self.first.notify_one();
        }
    }

    /// Completes with the next use.
    pub(super) fn touched(&self) -> Notified<'_> {
        self.first.notified()
    }

    /// When the container that was not used for longest was used.
    pub(super) fn first_use(&self) -> Option<Instant> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).values().min().copied()
    }

    /// Containers last used at `time` or before.
    pub(super) fn used_before(&self, time: Instant) -> Vec<Uuid> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.iter().filter(|(_, at)| **at <= time).map(|(id, _)| *id).collect()
    }

    /// It does not run any more.
    pub(super) fn forget_use(&self, id: Uuid) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub(super) fn remove(&self, id: Uuid) {
        self.forget_use(id);
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Whether it ran when it was last looked at.
    fn is_used(&self, id: Uuid) -> bool {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    pub(super) async fn running(&self, workspaces: &Workspaces, id: Uuid) -> Option<Arc<Live>> {
        let slot = self.slot(id);
        let mut place = slot.lock().await;
        adopt(workspaces, id, &mut place).await
    }
}

/// What is in the place if it lives, else what an earlier daemon left there.
async fn adopt(workspaces: &Workspaces, id: Uuid, place: &mut Option<Arc<Live>>) -> Option<Arc<Live>> {
    if let Some(live) = place.as_ref().filter(|live| live.is_alive()) {
        return Some(Arc::clone(live));
    }
    *place = None;
    let control = workspaces.paths(id).control;
    let found = if id.is_nil() {
        HostRunner::adopt(&control, workspaces.tree.as_deref()).await.map(|found| found.map(Live::Host))
    } else {
        match workspaces.tree.as_deref() {
            Some(tree) => Sandbox::adopt(&control, tree).await.map(|found| found.map(Live::Container)),
            None => Ok(None),
        }
    };
    match found {
        Ok(found) => {
            *place = found.map(Arc::new);
            if place.is_some() {
                workspaces.places.touch(id);
            }
        }
        Err(error) => tracing::warn!(%error, workspace = %id, "a sandbox cannot be adopted"),
    }
    place.clone()
}

impl Workspaces {
    /// The live sandbox for who only looks: nobody waits for an image that a start is making.
    pub(super) async fn seen(&self, id: Uuid) -> Option<Arc<Live>> {
        let slot = self.places.slot(id);
        let mut place = match slot.try_lock() {
            Ok(place) => place,
            Err(_) if self.places.is_used(id) => slot.lock().await,
            Err(_) => tokio::select! {
                place = slot.lock() => place,
                () = self.builds.begun(id) => return None,
            },
        };
        adopt(self, id, &mut place).await
    }

    /// The workspace's sandbox, started if it does not run. `progress` hears of an image build.
    ///
    /// # Errors
    /// Typed; never a run on the host instead.
    pub async fn ensure_running(
        &self,
        row: &WorkspaceRow,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Arc<Live>, ApiError> {
        let slot = self.places.slot(row.id);
        let mut place = slot.lock().await;
        if let Some(live) = adopt(self, row.id, &mut place).await {
            self.places.touch(row.id);
            return Ok(live);
        }
        let started = match row.kind {
            WorkspaceKind::Host => self.start_host().await,
            WorkspaceKind::Container => self.start_container(row, progress).await,
        };
        let noted = started.as_ref().err().map(ToString::to_string);
        self.note_error(row.id, noted).await?;
        let live = Arc::new(started?);
        *place = Some(Arc::clone(&live));
        self.places.touch(row.id);
        Ok(live)
    }

    async fn start_host(&self) -> Result<Live, ApiError> {
        let paths = self.paths(Uuid::nil());
        self.make_directories(Uuid::nil())?;
        make_private(&paths.control)?;
        let runner = runner_path()?;
        let host = HostRunner::ensure(&runner, &paths.control, self.tree.as_deref(), START_PATIENCE).await?;
        Ok(Live::Host(host))
    }

    async fn start_container(
        &self,
        row: &WorkspaceRow,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Live, ApiError> {
        let Some(tree) = self.tree.as_deref() else {
            return Err(ApiError::new(ErrorCode::SandboxUnavailable, "this host has no usable cgroups")
                .hint("run `sandboxed-sh doctor`"));
        };
        let told = |step: BuildProgress| {
            progress(format!("building the image: {} % {}", step.percent, step.line()));
        };
        self.mount_disk(row).await?;
        let row = &self.take_layers(row).await?;
        let image = self.image_for_start(row, &told).await?;
        let spec = self.spec(row, image)?;
        Ok(Live::Container(Sandbox::start(&spec, tree, START_PATIENCE).await?))
    }

    fn spec(&self, row: &WorkspaceRow, image: PathBuf) -> Result<SandboxSpec, ApiError> {
        let paths = self.paths(row.id);
        self.make_directories(row.id)?;
        make_private(&paths.control)?;
        let mut binds = vec![Bind::same_path(&paths.missions), Bind::same_path(&paths.worktrees)];
        binds.extend(self.shared_binds(row.id));
        for bind in &row.spec.binds {
            binds.extend(repository(Path::new(bind))?);
        }
        read_only_trees(row, &mut binds);
        binds.extend(program_binds(&self.programs)?);
        let network = network(row)?;
        if let Some(text) = resolv_conf(&network) {
            let file = paths.control.with_file_name("resolv.conf");
            std::fs::write(&file, text).map_err(|e| io_error(&file, &e))?;
            binds.push(Bind {
                source: file,
                target: "/etc/resolv.conf".into(),
                read_only: true,
                idmap: IdMap::None,
            });
        }
        Ok(SandboxSpec {
            machine: format!("sbx-{}-{}", self.instance, short(row.id)),
            hostname: row.name.clone(),
            image,
            lowers: self.lowers(row),
            layer: paths.layer,
            merged: paths.merged,
            control: paths.control,
            runner: runner_path()?,
            binds,
            egress: std::env::current_exe()
                .map_err(|e| ApiError::new(ErrorCode::Internal, format!("the daemon's own program: {e}")))?,
            network,
            uid_base: row.uid_base.unwrap_or_default(),
            limits: domain::Limits::default(),
            registration: if Path::new("/run/systemd/system").is_dir() {
                Registration::Machined
            } else {
                Registration::Off
            },
        })
    }
}

fn network(row: &WorkspaceRow) -> Result<Network, ApiError> {
    Ok(match row.spec.network {
        NetworkMode::Host => Network::Host,
        NetworkMode::None => Network::None,
        NetworkMode::Nat => Network::Nat,
        NetworkMode::Allowlist => Network::Allowlist(check_network(row.spec.network, &row.spec.allow_hosts)?),
    })
}

/// Variables by which programs of the workspace find the way out, where it is a proxy.
pub fn network_env(row: &WorkspaceRow) -> Vec<(String, String)> {
    if row.spec.network == NetworkMode::Allowlist { proxy_env() } else { Vec::new() }
}

/// The binds of a directory of the host: a repository's own code is protected.
fn repository(path: &Path) -> Result<Vec<Bind>, ApiError> {
    match prepare_repository(path) {
        Ok(binds) => Ok(binds),
        Err(SandboxError::NotARepository { .. }) if !path.join(".git").exists() => {
            Ok(vec![Bind::same_path(path)])
        }
        Err(error) => Err(error.into()),
    }
}
