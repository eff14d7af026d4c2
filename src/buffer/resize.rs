//! A ring whose shape is not the configured one: what it holds is carried over into one that has it.
//!
//! ```text
//!  old ring ─► frames ─► batches that someone lacks ─► frames as they fit ─► new ring, which takes the old one's place
//! ```
//!
//! In a file the new ring is made beside the old one, synced once, and takes its name: until then the old one is as it was,
//! whatever happens. A device has no room beside: while samples wait, its ring goes on in the shape that it has.

use super::carry::{Carrier, waiting_from};
use super::{Buffer, BufferOptions, EndpointLanes};
use crate::bugs::{Bug, planted};
use crate::counters::Counters;
use crate::model::{Note, SeriesTable, format_size};
use crate::ring::{
    Acks, DeviceMedium, FileMedium, Found, Frame, Geometry, Layout, Medium, Placement, Recovery, Ring, RingError,
    Shape, Storage,
};
use std::io;
use std::rc::Rc;

impl Buffer<Storage> {
    /// Opens the ring that the options name; makes it if there is none, and carries it over if it has another shape. On a device
    /// it may keep that shape: [`Buffer::layout`] tells.
    pub fn open_ring(
        options: &BufferOptions,
        endpoints: &[impl Clone + Into<EndpointLanes>],
        table: Rc<SeriesTable>,
        counters: Rc<Counters>,
    ) -> Result<(Self, Found, Recovery), RingError> {
        let (storage, found) = Storage::open(&options.path, &options.shape())?;
        Buffer::open_on(storage, found, options, endpoints, table, counters)
    }

    /// The same on storage that is open: what [`Storage::open`] gave.
    pub fn open_on(
        storage: Storage,
        found: Found,
        options: &BufferOptions,
        endpoints: &[impl Clone + Into<EndpointLanes>],
        table: Rc<SeriesTable>,
        counters: Rc<Counters>,
    ) -> Result<(Self, Found, Recovery), RingError> {
        let shape = options.shape();
        let storage = match storage {
            Storage::File(old) if found == Found::Other => {
                tell_change(options, &old.shape());
                Storage::File(carry_over(old, &shape, endpoints, &counters)?)
            }
            Storage::Device(old) if found == Found::Other => {
                let (device, note) = change(old, options)?;
                Storage::Device(claim(device, note, &counters)?)
            }
            Storage::Device(device) => Storage::Device(claim(device, Note::new(), &counters)?),
            file => file,
        };
        let (layout, interval) = (storage.shape().layout, options.commit_interval);
        let (buffer, recovery) = Buffer::open(storage, layout, interval, endpoints, table, counters)?;
        Ok((buffer, found, recovery))
    }
}

fn sizes(shape: &Shape) -> String {
    let (size, segment) = (shape.layout.size_bytes(), u64::from(shape.layout.segment_size_bytes));
    let unit = u64::from(shape.program_unit_bytes);
    format!("{} in segments of {} and units of {}", format_size(size), format_size(segment), format_size(unit))
}

fn tell_change(options: &BufferOptions, held: &Shape) {
    let (path, wanted) = (options.path.display(), options.shape());
    log::info!("{path}: the ring of {} becomes one of {}", sizes(held), sizes(&wanted));
}

fn carry_over(
    old: FileMedium,
    shape: &Shape,
    endpoints: &[impl Clone + Into<EndpointLanes>],
    counters: &Rc<Counters>,
) -> Result<FileMedium, RingError> {
    let (new, layout) = (old.beside(*shape)?, old.shape().layout);
    let written = Rc::<Counters>::default();
    // The buffer takes the sums from the new ring's note.
    let lost = Rc::<Counters>::default();
    let (old, new, samples) = carried((old, layout), (new, shape.layout), endpoints, &lost, &written)?;
    let new = new.take_place_of(old)?;
    counters.flash_bytes_written.add(written.flash_bytes_written.get());
    counters.flash_programs.add(written.flash_programs.get());
    counters.flash_syncs.add(1);
    log::info!("{samples} samples were carried over");
    Ok(new)
}

/// Carries one ring over into another, which is blank and synced as a whole in the end: the media, and how many samples were
/// written. What was ever lost is counted in `counters` and in the new ring's note; what writing takes in `written`.
pub(crate) fn carried<Old: Medium, New: Medium>(
    (old, old_layout): (Old, Layout),
    (new, layout): (New, Layout),
    endpoints: &[impl Clone + Into<EndpointLanes>],
    counters: &Rc<Counters>,
    written: &Rc<Counters>,
) -> Result<(Old, New, u64), RingError> {
    let (old, _) = Ring::open(old, old_layout, Rc::default())?;
    let (new, _) = Ring::open(Unsynced(new), layout, written.clone())?;
    let (new, samples) = Carrier::new(&old, new, endpoints, counters.clone()).carry()?;
    let mut new = new.into_medium().0;
    if !planted(Bug::CarriedUnsynced) {
        new.sync().map_err(|cause| RingError::Device { doing: "syncing the new ring", cause })?;
    }
    Ok((old.into_medium(), new, samples))
}

/// Blanks a device whose ring nobody waits for, and hands over its note. Any other is left in the shape that it has.
fn change(old: DeviceMedium, options: &BufferOptions) -> Result<(DeviceMedium, Note), RingError> {
    let held = old.shape();
    let (ring, _) = Ring::open(old, held.layout, Rc::default())?;
    let is_waiting = waiting_from(&ring) < ring.next_record();
    let newest = ring.segments().next_back().map(|segment| segment.seq);
    let note = ring.note().clone();
    let old = ring.into_medium();
    if !is_waiting {
        tell_change(options, &held);
        return Ok((old.reshape(newest, &options.shape())?, note));
    }
    if !old.suits_its_ring() {
        return Err(RingError::Waiting {
            path: options.path.clone(),
            size_bytes: held.layout.size_bytes(),
            segment_size_bytes: u64::from(held.layout.segment_size_bytes),
            program_unit_bytes: held.program_unit_bytes,
        });
    }
    log::warn!(
        "{}: samples wait in the ring of {}, which stays as it is until a start finds none; then it becomes one of {}",
        options.path.display(),
        sizes(&held),
        sizes(&options.shape())
    );
    Ok((old, note))
}

/// Says on a blank device that a ring is there.
fn claim(device: DeviceMedium, note: Note, counters: &Rc<Counters>) -> Result<DeviceMedium, RingError> {
    let layout = device.shape().layout;
    let (mut ring, _) = Ring::open(device, layout, counters.clone())?;
    if ring.newest().is_none() {
        ring.set_note(note);
        ring.append(&Frame::default(), Placement::NewSegment, &Acks::new())?;
    }
    Ok(ring.into_medium())
}

/// A medium that is synced as a whole at the end, by its owner.
struct Unsynced<M>(M);

impl<M: Medium> Medium for Unsynced<M> {
    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, into)
    }

    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.program(offset, bytes)
    }

    fn erase(&mut self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.0.erase(offset, len_bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
