//! Reads the trees of all programs, each by itself and level by level, within bounds: a program that hangs costs its
//! own tree only, one that has a million rows is read as far as the bounds go.

use std::{collections::HashSet, time::Duration};

use atspi::{Role, State};
use futures::{StreamExt, future::join_all, stream};
use tokio::time::{Instant, timeout_at};

use super::bus::root;
use super::read::{RawObject, SCREEN, read};
use super::{Bus, Element, Node, Object};
use crate::error::{Problem, Result};
use crate::geometry::Rect;

/// Calls to one program that are under way at a time, a handful for each object.
const AT_ONCE: usize = 32;
/// Of children of one object so many are read.
const MOST_CHILDREN: usize = 200;
/// Most programs.
const MOST_PROGRAMS: usize = 64;
/// So many times its longest silence a program may take that goes on answering: it is slow, it does not hang.
const SLOW: u32 = 5;
/// Deepest level.
const DEEPEST: usize = 96;

/// How much is read.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most objects of one program.
    pub nodes: usize,
    /// Longest time that a program says nothing at all.
    pub time: Duration,
    /// With what is in closed menus and lists.
    pub hidden: bool,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { nodes: 3000, time: Duration::from_secs(4), hidden: false }
    }
}

/// What was read of one program, or of a part of one.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// All nodes; the first is the uppermost.
    pub nodes: Vec<Node>,
    /// Process of the program.
    pub process: Option<u32>,
    /// Whether the program did not answer in time, or there was more than the bounds.
    pub is_cut: Option<Cut>,
}

/// Why a tree is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// More nodes than the bounds.
    Nodes,
    /// The time was up.
    Time,
}

/// All programs that show something.
///
/// # Errors
/// The bus is gone; programs that are cost nothing.
pub async fn walk(bus: &Bus, bounds: Bounds) -> Result<Vec<Tree>> {
    let programs: Vec<RawObject> = bus.call(&Bus::registry(), "Accessible", "GetChildren", &()).await?;
    let programs =
        programs.into_iter().filter_map(|(name, path)| Object::new(name, path)).take(MOST_PROGRAMS);
    let trees = join_all(programs.map(|program| async move {
        let process = bus.process(&program.name);
        let (process, tree) = tokio::join!(process, walk_from(bus, program.clone(), None, bounds));
        tree.map(|tree| Tree { process: process.ok(), ..tree })
    }));
    // A program that went meanwhile is no failure.
    Ok(trees.await.into_iter().filter_map(Result::ok).collect())
}

/// What is below one object.
///
/// # Errors
/// `stale_element`, or no answer of the first object within the time.
pub async fn walk_from(bus: &Bus, object: Object, clip: Option<Rect>, bounds: Bounds) -> Result<Tree> {
    let deadline = Instant::now() + bounds.time;
    let (seen, tree) = (HashSet::from([object.clone()]), Tree::default());
    let last = Instant::now() + bounds.time * SLOW;
    let mut walk = Walk { bus, bounds, deadline, last, seen, clips: Vec::new(), tree };
    let first = match timeout_at(deadline, read(bus, object.clone(), clip, true)).await {
        Ok(first) => first?,
        Err(_) if object.path == root() => {
            walk.tree.is_cut = Some(Cut::Time);
            return Ok(walk.tree);
        }
        Err(_) => return Err(Problem::new(crate::error::Code::TimedOut, "the program does not answer")),
    };
    walk.push(first, clip);
    let mut level = vec![0];
    for _ in 0..DEEPEST {
        if level.is_empty() || walk.tree.is_cut.is_some() {
            break;
        }
        level = walk.descend(&level).await;
    }
    Ok(walk.tree)
}

struct Walk<'a> {
    bus: &'a Bus,
    bounds: Bounds,
    deadline: Instant,
    /// Later than this the deadline does not move.
    last: Instant,
    seen: HashSet<Object>,
    /// What can be seen of what is in each node.
    clips: Vec<Option<Rect>>,
    tree: Tree,
}

impl Walk<'_> {
    fn push(&mut self, element: Element, clip: Option<Rect>) -> usize {
        self.clips.push(clip_of(&element, clip));
        self.tree.nodes.push(Node { element, children: Vec::new(), unread: 0 });
        self.tree.nodes.len() - 1
    }

    /// What cannot be seen has nothing below it that can; but a program itself is no part of the screen.
    fn has_more(&self, at: usize) -> bool {
        let Some(Node { element, .. }) = self.tree.nodes.get(at) else { return false };
        let open = element.exists() || element.is(State::Showing) || element.role == Role::Application;
        element.child_count > 0 && (open || self.bounds.hidden)
    }

    /// The program answers: it has its time again.
    fn answered(&mut self) {
        self.deadline = (Instant::now() + self.bounds.time).min(self.last);
    }

    /// Reads the next level: its nodes.
    async fn descend(&mut self, level: &[usize]) -> Vec<usize> {
        let parents = level.iter().copied().filter(|at| self.has_more(*at));
        let parents: Vec<(usize, Element)> =
            parents.filter_map(|at| Some((at, self.tree.nodes.get(at)?.element.clone()))).collect();
        let bus = self.bus;
        let lists = stream::iter(parents.into_iter().map(|(at, parent)| async move {
            let children = children(bus, &parent).await;
            (at, parent, children)
        }))
        .buffered(AT_ONCE);
        let mut found: Vec<(usize, Option<Rect>, Object)> = Vec::new();
        let mut lists = std::pin::pin!(lists);
        loop {
            match timeout_at(self.deadline, lists.next()).await {
                Ok(Some((at, parent, children))) => {
                    self.answered();
                    self.note(at, &parent, children.unwrap_or_default(), &mut found)
                }
                Ok(None) => break,
                Err(_) => {
                    self.tree.is_cut = Some(Cut::Time);
                    break;
                }
            }
        }
        self.read_all(found).await
    }

    fn note(
        &mut self,
        at: usize,
        parent: &Element,
        children: Vec<Object>,
        found: &mut Vec<(usize, Option<Rect>, Object)>,
    ) {
        let unread = parent.child_count.saturating_sub(children.len());
        if let Some(node) = self.tree.nodes.get_mut(at) {
            node.unread = unread;
        }
        let clip = self.clips.get(at).copied().flatten();
        for child in children {
            if self.tree.nodes.len() + found.len() >= self.bounds.nodes {
                self.tree.is_cut = Some(Cut::Nodes);
                return;
            }
            if self.seen.insert(child.clone()) {
                found.push((at, clip, child));
            }
        }
    }

    async fn read_all(&mut self, found: Vec<(usize, Option<Rect>, Object)>) -> Vec<usize> {
        let (bus, hidden) = (self.bus, self.bounds.hidden);
        let reads = stream::iter(
            found
                .into_iter()
                .map(|(at, clip, object)| async move { (at, read(bus, object, clip, hidden).await) }),
        );
        let mut reads = std::pin::pin!(reads.buffered(AT_ONCE));
        let mut next = Vec::new();
        loop {
            match timeout_at(self.deadline, reads.next()).await {
                // What went meanwhile is not there.
                Ok(Some((_, Err(_)))) => {}
                Ok(Some((at, Ok(element)))) => {
                    self.answered();
                    let clip = self.clips.get(at).copied().flatten();
                    let number = self.push(element, clip);
                    if let Some(parent) = self.tree.nodes.get_mut(at) {
                        parent.children.push(number);
                    }
                    next.push(number);
                }
                Ok(None) => return next,
                Err(_) => {
                    self.tree.is_cut = Some(Cut::Time);
                    return next;
                }
            }
        }
    }
}

/// What can be seen of what is in it, when what can be seen of it is within `clip`.
fn clip_of(element: &Element, clip: Option<Rect>) -> Option<Rect> {
    match clips(element.role) {
        Some(false) => None,
        // Nothing of it can be seen: nothing in it.
        Some(true) => element.place.map(|_| element.seen.unwrap_or_default()),
        None => clip,
    }
}

/// Whether what is in it is seen only within it, or anywhere at all: open menus and lists leave their window.
pub(super) fn clips(role: Role) -> Option<bool> {
    use Role as R;
    match role {
        R::Application | R::Menu | R::PopupMenu | R::ComboBox | R::MenuItem => Some(false),
        R::Frame
        | R::Dialog
        | R::Window
        | R::ScrollPane
        | R::Viewport
        | R::DocumentWeb
        | R::DocumentFrame => Some(true),
        _ => None,
    }
}

/// The children, or of very many those around the middle of what is seen.
async fn children(bus: &Bus, parent: &Element) -> Result<Vec<Object>> {
    let object = &parent.object;
    if parent.child_count <= MOST_CHILDREN {
        let all: Vec<RawObject> = bus.call(object, "Accessible", "GetChildren", &()).await?;
        return Ok(all
            .into_iter()
            .filter_map(|(name, path)| Object::new(name, path))
            .take(MOST_CHILDREN)
            .collect());
    }
    let middle = match parent.seen {
        Some(seen) => index_at(bus, object, seen.center()).await.unwrap_or_default(),
        None => 0,
    };
    let last = parent.child_count - MOST_CHILDREN;
    let start = middle.saturating_sub(MOST_CHILDREN / 2).min(last);
    let calls = (start..start + MOST_CHILDREN).map(|index| async move {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        bus.call::<_, RawObject>(object, "Accessible", "GetChildAtIndex", &(index,)).await
    });
    let found: Vec<_> = stream::iter(calls).buffered(AT_ONCE).collect().await;
    Ok(found.into_iter().filter_map(Result::ok).filter_map(|(name, path)| Object::new(name, path)).collect())
}

async fn index_at(bus: &Bus, object: &Object, (x, y): (i32, i32)) -> Result<usize> {
    let found: RawObject = bus.call(object, "Component", "GetAccessibleAtPoint", &(x, y, SCREEN)).await?;
    let found = Object::new(found.0, found.1).ok_or_else(|| Problem::internal("nothing is there"))?;
    let index: i32 = bus.call(&found, "Accessible", "GetIndexInParent", &()).await?;
    usize::try_from(index).map_err(Problem::internal)
}
