//! The git layer against real repositories and the real git.

#[cfg(test)]
mod creating;
#[cfg(test)]
mod facts;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod lacking;
#[cfg(test)]
mod merging;
#[cfg(test)]
mod parallel;
#[cfg(test)]
mod races;
#[cfg(test)]
mod removing;
#[cfg(test)]
mod viewing;
