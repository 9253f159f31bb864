//! Images: built once, wholly or not at all.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use sandboxed_core::sandbox::{BUILD_PATIENCE, ImageRecipe, ImageRecord, ImageStore, SandboxError};
use sandboxed_domain::api::ErrorCode;

use crate::support::{Place, say};

/// What is left of the build besides its log and lock.
fn left(root: &Path, id: &str) -> Vec<String> {
    let names = |dir: &Path| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut found = names(root);
    found.retain(|name| *name != format!("{id}.lock") && *name != format!("{id}.build"));
    found.extend(names(&root.join(format!("{id}.build"))).into_iter().filter(|name| name != "build.log"));
    found
}

#[tokio::test]
async fn a_failed_build_leaves_a_log_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::new(dir.path());
    let mut recipe = ImageRecipe::minimal().unwrap();
    recipe.mirrors = vec![format!("deb [trusted=yes] file:///no/such/mirror {} main", recipe.suite)];
    let error = store.ensure(&recipe, BUILD_PATIENCE, |_| {}).await.unwrap_err();
    let SandboxError::ImageFailed { log, reason, .. } = &*error else { panic!("{error}") };
    assert!(reason.contains("E:"), "{reason}");
    assert_eq!(
        std::fs::read_to_string(log).unwrap(),
        std::fs::read_to_string(store.log(&recipe.id())).unwrap()
    );
    assert_eq!(left(dir.path(), &recipe.id()), Vec::<String>::new());
    assert!(store.list().is_empty());
}

#[tokio::test]
async fn a_build_that_hangs_is_ended_with_all_its_processes() {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::new(dir.path());
    // Accepts through its backlog and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut recipe = ImageRecipe::minimal().unwrap();
    let address = silent.local_addr().unwrap();
    recipe.mirrors = vec![format!("deb [trusted=yes] http://{address}/ {} main", recipe.suite)];
    let error = store.ensure(&recipe, Duration::from_secs(3), |_| {}).await.unwrap_err();
    assert!(matches!(&*error, SandboxError::ImageTimedOut { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::TimedOut);
    assert_eq!(left(dir.path(), &recipe.id()), Vec::<String>::new());
    let ours = dir.path().to_str().unwrap();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mounts = std::fs::read_to_string(entry.path().join("mounts")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&line).contains(ours), "{:?}", entry.path());
        assert!(!mounts.contains(ours), "{:?}", entry.path());
    }
}

#[tokio::test]
async fn callers_of_one_image_share_its_build_and_one_that_leaves_takes_nothing_from_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::new(dir.path());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut recipe = ImageRecipe::minimal().unwrap();
    let address = silent.local_addr().unwrap();
    recipe.mirrors = vec![format!("deb [trusted=yes] http://{address}/ {} main", recipe.suite)];
    let patience = Duration::from_secs(6);
    let caller = || {
        let (store, recipe) = (store.clone(), recipe.clone());
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        let heard = move |_| {
            if let Some(tell) = tell.take() {
                let _ = tell.send(());
            }
        };
        (tokio::spawn(async move { store.ensure(&recipe, patience, heard).await }), told)
    };
    let ((first, one), (second, two), (third, three)) = (caller(), caller(), caller());
    for told in [one, two, three] {
        tokio::time::timeout(crate::support::PATIENCE, told).await.unwrap().unwrap();
    }
    first.abort();
    let (second, third) = (second.await.unwrap().unwrap_err(), third.await.unwrap().unwrap_err());
    assert!(matches!(&*second, SandboxError::ImageTimedOut { .. }), "{second}");
    assert!(std::sync::Arc::ptr_eq(&second, &third), "there were two builds");
}

#[tokio::test]
async fn what_an_interrupted_build_left_goes_and_one_that_is_under_way_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::new(dir.path());
    for id in ["gone-1", "busy-1"] {
        let rootfs = dir.path().join(format!("{id}.build/rootfs/etc"));
        std::fs::create_dir_all(&rootfs).unwrap();
        for file in ["build.log", "init.sh"] {
            std::fs::write(dir.path().join(format!("{id}.build/{file}")), "half").unwrap();
        }
    }
    let lock = std::fs::File::create(dir.path().join("busy-1.lock")).unwrap();
    lock.lock().unwrap();
    store.clear_interrupted().await;
    assert!(dir.path().join("busy-1.build/rootfs/etc").exists());
    let left: Vec<_> = std::fs::read_dir(dir.path().join("gone-1.build")).unwrap().flatten().collect();
    assert!(left.len() == 1 && left[0].file_name() == "build.log", "{left:?}");
    assert_eq!(std::fs::read_to_string(store.log("gone-1")).unwrap(), "half");
    assert!(store.list().is_empty());
}

/// Its mirror is nowhere: a build would fail.
#[tokio::test]
async fn templates_of_the_same_content_share_an_image_whatever_they_are_called() {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::new(dir.path());
    let mut recipe = ImageRecipe::minimal().unwrap();
    recipe.mirrors = vec![format!("deb [trusted=yes] file:///no/such/mirror {} main", recipe.suite)];
    let record = ImageRecord {
        id: recipe.id(),
        digest: recipe.digest(),
        recipe: recipe.clone(),
        bytes: 1,
        built_at: "2026-01-01T00:00:00Z".to_owned(),
        seconds: 1,
    };
    let made = dir.path().join(&record.id);
    std::fs::create_dir_all(made.join("rootfs")).unwrap();
    std::fs::write(made.join("image.json"), serde_json::to_vec(&record).unwrap()).unwrap();
    recipe.name = "other".to_owned();
    let image = store.ensure(&recipe, BUILD_PATIENCE, |_| {}).await.unwrap();
    assert_eq!(image.rootfs, made.join("rootfs"));
    recipe.packages.push("hello".to_owned());
    store.ensure(&recipe, BUILD_PATIENCE, |_| {}).await.unwrap_err();
}

#[tokio::test]
async fn the_minimal_image_is_built_once_and_runs_git() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images");
    let (one, two) = (ImageStore::new(&root), ImageStore::new(&root));
    let recipe = ImageRecipe::minimal().unwrap();
    let cached = one.find(&recipe.id()).is_some();
    let told = Mutex::new(Vec::new());
    let (first, second) = tokio::join!(
        one.ensure(&recipe, BUILD_PATIENCE, |p| told.lock().unwrap().push(p)),
        two.ensure(&recipe, BUILD_PATIENCE, |p| told.lock().unwrap().push(p)),
    );
    let image = first.unwrap();
    assert_eq!(image, second.unwrap());
    let told = told.into_inner().unwrap();
    assert_eq!(
        told.iter().filter(|p| p.percent == 100).count(),
        usize::from(!cached),
        "one of the two builds"
    );
    // What comes in quick succession may be told at once.
    assert!(cached || told.iter().any(|p| p.packages_done > 50 && p.bytes_done > 20 << 20), "{told:?}");
    assert!(told.iter().all(|p| p.packages_done <= p.packages_total), "{told:?}");
    assert!(image.record.bytes > 50 << 20 && image.record.recipe == recipe, "{:?}", image.record);

    let mut place = Place::new("minimal");
    place.spec.image = image.rootfs;
    place.spec.binds.clear();
    let sandbox = place.start().await;
    let text = "git --version && getent hosts localhost && cat /etc/resolv.conf && cat /proc/self/status | grep Seccomp:";
    let said = say(sandbox.runner(), text).await;
    assert!(said.starts_with("git version") && said.contains("nameserver"), "{said}");
    let install =
        "apt-get -qq update && apt-get -qq install -y --no-install-recommends hello >/dev/null && hello";
    let said = say(sandbox.runner(), install).await;
    assert!(said.contains("Hello, world!"), "{said}");
    sandbox.stop(Duration::ZERO).await.unwrap();
}
