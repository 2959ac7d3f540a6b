//! JPEG by libjpeg (libjpeg-turbo inside mozjpeg, with mozjpeg's own compression switched off).
//!
//! libjpeg reports an error through a callback that must not return. Here it unwinds: to
//! [`guard`], which every call into the codec goes through. The C code is compiled to let that
//! pass, and its functions are declared `extern "C-unwind"`. The panic hook is not involved.
#![expect(unsafe_code, reason = "calls a C codec")]

use super::{QUALITY, cmyk, malformed, unsupported};
use crate::workload::Error;
use crate::workload::imaging::rows::{Channels, Layout, RowSink, RowSource};
use crate::workload::imaging::ticker::Ticker;
use mozjpeg_sys::{
    J_COLOR_SPACE, J_DCT_METHOD, J_MESSAGE_CODE, JCP_FASTEST, JINT_COMPRESS_PROFILE, boolean,
    c_int, c_ulong, jpeg_common_struct, jpeg_compress_struct, jpeg_decompress_struct,
    jpeg_destination_mgr, jpeg_error_mgr,
};
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Rows that are passed to the codec in one call.
const ROWS_A_CALL: usize = 16;

/// What the codec said when it gave up.
struct Failure {
    code: c_int,
    message: String,
}

impl Failure {
    /// Files of a kind that the codec knows of and does not read.
    const KINDS: [J_MESSAGE_CODE; 6] = [
        mozjpeg_sys::JERR_ARITH_NOTIMPL,
        mozjpeg_sys::JERR_BAD_PRECISION,
        mozjpeg_sys::JERR_CCIR601_NOTIMPL,
        mozjpeg_sys::JERR_CONVERSION_NOTIMPL,
        mozjpeg_sys::JERR_FRACT_SAMPLE_NOTIMPL,
        mozjpeg_sys::JERR_SOF_UNSUPPORTED,
    ];
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        if Failure::KINDS.iter().any(|kind| *kind as c_int == failure.code) {
            unsupported(&failure.message)
        } else {
            malformed(&failure.message)
        }
    }
}

/// Calls the codec.
fn guard<T>(call: impl FnOnce() -> T) -> Result<T, Failure> {
    // What was half changed when the codec gave up is only ever destroyed after that.
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| match payload.downcast::<Failure>() {
        Ok(failure) => *failure,
        Err(panic) => resume_unwind(panic),
    })
}

/// The codec's record of errors, with our own callbacks. It has an address that stays, by which
/// the codec knows it.
struct Errors(*mut jpeg_error_mgr);

impl Errors {
    fn new() -> Self {
        // SAFETY: it is a C structure of numbers, nullable pointers and optional functions, for all
        // of which zero is a value; `jpeg_std_error` fills in what the codec needs.
        let mut manager: Box<jpeg_error_mgr> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: takes any such structure.
        unsafe { mozjpeg_sys::jpeg_std_error(&mut manager) };
        manager.error_exit = Some(give_up);
        manager.emit_message = Some(judge_warning);
        Self(Box::into_raw(manager))
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw`; the codec that used it was destroyed before its fields.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// The codec's callback for errors: unwinds to [`guard`].
unsafe extern "C-unwind" fn give_up(common: &mut jpeg_common_struct) {
    /// The codec's `JMSG_LENGTH_MAX`.
    const LONGEST_MESSAGE: usize = 200;
    let mut text = [0u8; LONGEST_MESSAGE];
    // SAFETY: `err` is the manager that this module made, and lives as long as `common`. The
    // function writes at most LONGEST_MESSAGE bytes, although it is declared with fewer.
    let code = unsafe {
        let manager = common.err;
        if let Some(format) = (*manager).format_message {
            format(common, &*text.as_mut_ptr().cast::<[u8; 80]>());
        }
        (*manager).msg_code
    };
    let message = CStr::from_bytes_until_nul(&text).unwrap_or_default();
    resume_unwind(Box::new(Failure { code, message: message.to_string_lossy().into_owned() }));
}

/// The codec's callback for warnings and traces. Where it warns that pixels are lost, and would
/// go on with grey ones, this gives up.
unsafe extern "C-unwind" fn judge_warning(common: &mut jpeg_common_struct, level: c_int) {
    const LOSSES: [J_MESSAGE_CODE; 3] = [
        mozjpeg_sys::JWRN_HIT_MARKER,
        mozjpeg_sys::JWRN_HUFF_BAD_CODE,
        mozjpeg_sys::JWRN_MUST_RESYNC,
    ];
    // SAFETY: as in `give_up`.
    let manager = unsafe { &mut *common.err };
    if level < 0 {
        if LOSSES.iter().any(|loss| *loss as c_int == manager.msg_code) {
            // SAFETY: same contract.
            unsafe { give_up(common) };
        }
        manager.num_warnings += 1;
    }
}

/// A file being decoded.
pub(super) struct Decoder<'a> {
    codec: Box<jpeg_decompress_struct>,
    _errors: Errors,
    layout: Layout,
    /// The inks of a CMYK file, one row.
    inks: Option<cmyk::Inks>,
    started: bool,
    /// What the codec reads from, by a pointer of its own.
    input: &'a [u8],
}

// SAFETY: the codec keeps no state outside its structure, which is owned here and used by one
// thread at a time.
unsafe impl Send for Decoder<'_> {}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        // SAFETY: created in `open`; a null or partly built state is allowed.
        unsafe { mozjpeg_sys::jpeg_destroy_decompress(&mut self.codec) };
    }
}

pub(super) fn open(input: &[u8]) -> Result<Decoder<'_>, Error> {
    let errors = Errors::new();
    // SAFETY: zero is a value for all members, as for the error manager.
    let mut codec: Box<jpeg_decompress_struct> = Box::new(unsafe { std::mem::zeroed() });
    codec.common.err = errors.0;
    let layout = Layout { width: 0, height: 0, channels: Channels::Rgb };
    // From here on the codec's memory is freed whatever happens.
    let mut decoder = Decoder { codec, _errors: errors, layout, inks: None, started: false, input };
    let codec = &mut decoder.codec;
    let (layout, is_cmyk) = guard(|| {
        // SAFETY: the structure and the error manager stay where they are, in their boxes, as
        // long as the codec uses them, and `input` is borrowed for as long.
        unsafe {
            mozjpeg_sys::jpeg_create_decompress(&raw mut **codec);
            mozjpeg_sys::jpeg_mem_src(codec, input.as_ptr(), input.len() as c_ulong);
            mozjpeg_sys::jpeg_read_header(codec, 1);
        }
        choose_output(codec)
    })?;
    decoder.layout = layout;
    decoder.inks = is_cmyk.then(|| cmyk::Inks::new(layout.width, cmyk::has_adobe_marker(input)));
    Ok(decoder)
}

/// Sets what the codec is to give out: grey, RGB, or the inks of CMYK.
fn choose_output(codec: &mut jpeg_decompress_struct) -> (Layout, bool) {
    use J_COLOR_SPACE::{JCS_CMYK, JCS_GRAYSCALE, JCS_RGB, JCS_YCCK};
    let (space, channels) = match codec.jpeg_color_space {
        JCS_GRAYSCALE => (JCS_GRAYSCALE, Channels::Grey),
        JCS_CMYK | JCS_YCCK => (JCS_CMYK, Channels::Rgb),
        _ => (JCS_RGB, Channels::Rgb),
    };
    codec.out_color_space = space;
    codec.dct_method = J_DCT_METHOD::JDCT_ISLOW;
    // libjpeg 6b has no smooth interpolation for colours that are halved in height alone;
    // libjpeg-turbo has, and existing services' pixels come from 6b.
    codec.do_fancy_upsampling = boolean::from(!halves_height_alone(codec));
    let layout =
        Layout { width: codec.image_width as usize, height: codec.image_height as usize, channels };
    (layout, space == JCS_CMYK)
}

fn halves_height_alone(codec: &jpeg_decompress_struct) -> bool {
    let count = usize::try_from(codec.num_components).unwrap_or_default();
    // SAFETY: after the header is read there are `num_components` of them.
    let components = unsafe { std::slice::from_raw_parts(codec.comp_info, count) };
    components.iter().any(|component| {
        component.h_samp_factor == codec.max_h_samp_factor
            && component.v_samp_factor * 2 == codec.max_v_samp_factor
    })
}

impl Decoder<'_> {
    /// Begins the output; of a file in several scans all are read first.
    fn start(&mut self, ticker: &mut Ticker) -> Result<(), Error> {
        /// Scans of a file: real ones have about ten, and each costs a pass over all pixels.
        const MOST_SCANS: c_int = 100;
        const REACHED_END: c_int = 2;
        let codec = &mut self.codec;
        // SAFETY: the header was read.
        let several = guard(|| unsafe { mozjpeg_sys::jpeg_has_multiple_scans(codec) })? != 0;
        codec.buffered_image = boolean::from(several);
        // SAFETY: all parameters are set.
        guard(|| unsafe { mozjpeg_sys::jpeg_start_decompress(codec) })?;
        if !several {
            return Ok(());
        }
        let row_cost = 8 * 2 * self.layout.width as u64;
        // SAFETY: reads on in a file that was started.
        while guard(|| unsafe { mozjpeg_sys::jpeg_consume_input(codec) })? != REACHED_END {
            if codec.input_scan_number > MOST_SCANS {
                return Err(malformed("it has more than 100 scans"));
            }
            ticker.spend(row_cost)?;
        }
        // At the end of its input the codec reads on in a file end of its own making.
        // SAFETY: `jpeg_mem_src` set the source.
        let position = unsafe { (*codec.src).next_input_byte };
        let input = self.input.as_ptr_range();
        if !(input.start..=input.end).contains(&position) {
            return Err(malformed("it ends before its last scan"));
        }
        // SAFETY: as above; the output is that of all scans.
        guard(|| unsafe {
            mozjpeg_sys::jpeg_start_output(codec, codec.input_scan_number);
        })?;
        Ok(())
    }

    /// Reads rows of the codec's own layout, `stride` bytes each.
    fn scan(&mut self, rows: &mut [u8], stride: usize) -> Result<(), Error> {
        let codec = &mut self.codec;
        for rows in rows.chunks_mut(stride * ROWS_A_CALL) {
            let mut wanted: Vec<*mut u8> =
                rows.chunks_exact_mut(stride).map(<[u8]>::as_mut_ptr).collect();
            let mut wanted = &mut wanted[..];
            while !wanted.is_empty() {
                // SAFETY: each pointer leads to `stride` bytes, which is what the codec writes
                // for a row in the colour space that was chosen for it.
                let count = guard(|| unsafe {
                    let most = wanted.len().try_into().unwrap_or_default();
                    mozjpeg_sys::jpeg_read_scanlines(codec, wanted.as_mut_ptr(), most)
                })?;
                if count == 0 {
                    return Err(malformed("it ends before its last row"));
                }
                wanted = &mut wanted[count as usize..];
            }
        }
        Ok(())
    }
}

impl RowSource for Decoder<'_> {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn is_linear_grey(&self) -> bool {
        self.layout.channels == Channels::Grey
    }

    fn read(&mut self, rows: &mut [u8], ticker: &mut Ticker) -> Result<(), Error> {
        if !self.started {
            self.start(ticker)?;
            self.started = true;
        }
        let stride = self.layout.stride();
        let Some(mut inks) = self.inks.take() else {
            return self.scan(rows, stride);
        };
        for row in rows.chunks_exact_mut(stride) {
            let length = inks.row.len();
            self.scan(&mut inks.row, length)?;
            inks.convert(row);
        }
        self.inks = Some(inks);
        Ok(())
    }
}

/// Where the codec puts the file's bytes.
#[repr(C)]
struct Destination {
    /// What the codec knows of; it has to come first.
    base: jpeg_destination_mgr,
    block: [u8; Self::BLOCK],
    file: Vec<u8>,
}

impl Destination {
    const BLOCK: usize = 16 << 10;

    /// Offers the whole block to the codec.
    fn offer(&mut self) {
        self.base.next_output_byte = self.block.as_mut_ptr();
        self.base.free_in_buffer = Self::BLOCK;
    }

    /// The destination of a file being written.
    ///
    /// # Safety
    /// `codec.dest` must come from [`create`], and nothing else may use it.
    unsafe fn of(codec: &mut jpeg_compress_struct) -> &mut Self {
        // SAFETY: the caller's promise; `base` is the first member, so the addresses are equal.
        unsafe { &mut *codec.dest.cast::<Self>() }
    }
}

unsafe extern "C-unwind" fn begin_output(codec: &mut jpeg_compress_struct) {
    // SAFETY: the codec calls this during `create` only.
    unsafe { Destination::of(codec) }.offer();
}

unsafe extern "C-unwind" fn empty_block(codec: &mut jpeg_compress_struct) -> boolean {
    // SAFETY: the codec calls this while `write` or `finish` has the encoder for itself.
    let destination = unsafe { Destination::of(codec) };
    destination.file.extend_from_slice(&destination.block);
    destination.offer();
    1
}

unsafe extern "C-unwind" fn end_output(codec: &mut jpeg_compress_struct) {
    // SAFETY: as in `empty_block`.
    let destination = unsafe { Destination::of(codec) };
    let used = Destination::BLOCK - destination.base.free_in_buffer;
    destination.file.extend_from_slice(&destination.block[..used]);
}

/// A file being encoded.
pub(super) struct Encoder {
    codec: Box<jpeg_compress_struct>,
    _errors: Errors,
    /// Made by `Box::into_raw`; the codec writes through its own copy of this pointer.
    destination: *mut Destination,
    stride: usize,
}

// SAFETY: as for the decoder.
unsafe impl Send for Encoder {}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: created in `create`; the codec does not use the destination afterwards.
        unsafe {
            mozjpeg_sys::jpeg_destroy_compress(&mut self.codec);
            drop(Box::from_raw(self.destination));
        }
    }
}

pub(super) fn create(layout: Layout) -> Result<Encoder, Error> {
    let refused = |failure: Failure| {
        Error::Unprocessable(format!("a JPEG file cannot hold the result: {}", failure.message))
    };
    let errors = Errors::new();
    // SAFETY: zero is a value for all members of both structures.
    let (mut codec, base): (Box<jpeg_compress_struct>, jpeg_destination_mgr) =
        unsafe { (Box::new(std::mem::zeroed()), std::mem::zeroed()) };
    codec.common.err = errors.0;
    let mut destination =
        Box::new(Destination { base, block: [0; Destination::BLOCK], file: Vec::new() });
    destination.base.init_destination = Some(begin_output);
    destination.base.empty_output_buffer = Some(empty_block);
    destination.base.term_destination = Some(end_output);
    let destination = Box::into_raw(destination);
    let mut encoder = Encoder { codec, _errors: errors, destination, stride: layout.stride() };
    let codec = &mut encoder.codec;
    guard(|| {
        // SAFETY: the structures stay where they are as long as the codec uses them.
        unsafe { mozjpeg_sys::jpeg_create_compress(&raw mut **codec) };
        codec.dest = destination.cast();
        set_parameters(codec, layout);
        // SAFETY: all parameters are set.
        unsafe { mozjpeg_sys::jpeg_start_compress(codec, 1) };
    })
    .map_err(refused)?;
    Ok(encoder)
}

/// Plain baseline JPEG: the tables of T.81, annex K, and the exact integer transform.
fn set_parameters(codec: &mut jpeg_compress_struct, layout: Layout) {
    codec.image_width = layout.width.try_into().unwrap_or(u32::MAX);
    codec.image_height = layout.height.try_into().unwrap_or(u32::MAX);
    codec.input_components = if layout.channels == Channels::Grey { 1 } else { 3 };
    codec.in_color_space = match layout.channels {
        Channels::Grey => J_COLOR_SPACE::JCS_GRAYSCALE,
        _ => J_COLOR_SPACE::JCS_RGB,
    };
    // SAFETY: the structure was created.
    unsafe {
        // The profile decides which defaults are set, so it comes first.
        mozjpeg_sys::jpeg_c_set_int_param(codec, JINT_COMPRESS_PROFILE, JCP_FASTEST as c_int);
        mozjpeg_sys::jpeg_set_defaults(codec);
        mozjpeg_sys::jpeg_set_quality(codec, c_int::from(QUALITY), 1);
    }
    codec.dct_method = J_DCT_METHOD::JDCT_ISLOW;
    codec.JFIF_minor_version = 2;
}

impl RowSink for Encoder {
    fn write(&mut self, rows: &[u8], _: &mut Ticker) -> Result<(), Error> {
        let codec = &mut self.codec;
        for rows in rows.chunks(self.stride * ROWS_A_CALL) {
            let rows: Vec<*const u8> = rows.chunks_exact(self.stride).map(<[u8]>::as_ptr).collect();
            // SAFETY: each pointer leads to a row of the layout that the encoder was made for. The
            // destination never suspends, so all rows are taken.
            guard(|| unsafe {
                let count = rows.len().try_into().unwrap_or_default();
                mozjpeg_sys::jpeg_write_scanlines(codec, rows.as_ptr(), count)
            })?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _: &mut Ticker) -> Result<Vec<u8>, Error> {
        let codec = &mut self.codec;
        // SAFETY: all rows are written.
        guard(|| unsafe { mozjpeg_sys::jpeg_finish_compress(codec) })?;
        // SAFETY: the codec does not run now, so nothing else uses the destination.
        Ok(std::mem::take(&mut unsafe { &mut *self.destination }.file))
    }
}
