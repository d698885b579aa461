//! Writes readings of weather stations into a bucket as a Parquet file, and reads two of their columns for a few days back.
//!
//! Only the footer and the chunks of those columns in the row groups of those days are fetched; the end tells how much that was.

mod counted;
mod file;

use anyhow::{Context, Result, ensure};
use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray,
    cast::AsArray,
    types::{Float64Type, Int64Type},
};
use cess::client::s3::BucketStore;
use counted::Counted;
use file::File;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, buffered::BufWriter, path::Path};
use parquet::{
    arrow::{AsyncArrowWriter, ParquetRecordBatchStreamBuilder, ProjectionMask},
    basic::Compression,
    file::{metadata::ParquetMetaData, properties::WriterProperties, statistics::Statistics},
};
use std::{ops::Range, sync::Arc};

const ROWS: i64 = 100_000;
const GROUP_ROWS: usize = 10_000;
const BATCH_ROWS: usize = 5_000;
/// Column with the minute of a reading, which rises from row to row.
const MINUTE: &str = "minute";
const CELSIUS: &str = "celsius";
/// Minutes that are asked for.
const ASKED: Range<i64> = 42_000..53_000;

fn celsius(minute: i64) -> f64 {
    10.0 + (minute % 1_440) as f64 / 144.0
}

/// Text that does not compress away.
fn note(minute: i64) -> String {
    let mut state = minute as u64;
    let word = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", state ^ (state >> 29))
    };
    (0..12).map(word).collect()
}

fn readings(minutes: Range<i64>) -> Result<RecordBatch> {
    let column = |column: ArrayRef| column;
    Ok(RecordBatch::try_from_iter([
        (MINUTE, column(Arc::new(Int64Array::from_iter_values(minutes.clone())))),
        ("station", column(Arc::new(Int64Array::from_iter_values(minutes.clone().map(|minute| minute % 17))))),
        (CELSIUS, column(Arc::new(Float64Array::from_iter_values(minutes.clone().map(celsius))))),
        ("note", column(Arc::new(StringArray::from_iter_values(minutes.map(note))))),
    ])?)
}

/// Writes all readings; parts go to the network while later rows are encoded.
async fn write(store: Arc<dyn ObjectStore>, path: &Path) -> Result<()> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_compression(Compression::SNAPPY)
        .build();
    let target = BufWriter::new(store, path.clone()).with_max_concurrency(4);
    let mut writer = AsyncArrowWriter::try_new(target, readings(0..0)?.schema(), Some(properties))?;
    for first in (0..ROWS).step_by(BATCH_ROWS) {
        writer.write(&readings(first..first + BATCH_ROWS as i64)?).await?;
    }
    writer.close().await?;
    Ok(())
}

/// Row groups that can hold one of these minutes, by the footer's statistics.
fn groups_with(metadata: &ParquetMetaData, minutes: &Range<i64>) -> Vec<usize> {
    let may_hold = |statistics: &Statistics| match statistics {
        Statistics::Int64(values) => match (values.min_opt(), values.max_opt()) {
            (Some(min), Some(max)) => *min < minutes.end && *max >= minutes.start,
            _ => true,
        },
        _ => true,
    };
    let groups = metadata.row_groups().iter().enumerate();
    groups.filter(|(_, group)| group.column(0).statistics().is_none_or(may_hold)).map(|(index, _)| index).collect()
}

#[tokio::main]
async fn main() -> Result<()> {
    let bucket = std::env::args().nth(1).context("usage: cess-parquet-example BUCKET")?;
    let network: Arc<dyn ObjectStore> = Arc::new(BucketStore::from_env(&bucket)?);
    let path = Path::from("weather/readings.parquet");
    write(network.clone(), &path).await?;
    let size = network.head(&path).await?.size;
    println!("wrote {ROWS} readings to s3://{bucket}/{path}: {size} B");

    let counted = Arc::new(Counted::new(network));
    let builder = ParquetRecordBatchStreamBuilder::new(File::new(counted.clone(), path, size)).await?;
    let groups = groups_with(builder.metadata(), &ASKED);
    let (count, all) = (groups.len(), builder.metadata().num_row_groups());
    let columns = ProjectionMask::columns(builder.parquet_schema(), [MINUTE, CELSIUS]);
    let mut batches = builder.with_row_groups(groups).with_projection(columns).build()?;
    let (mut rows, mut sum) = (0i64, 0.0);
    while let Some(batch) = batches.try_next().await? {
        let minutes = batch.column(0).as_primitive::<Int64Type>().values();
        let degrees = batch.column(1).as_primitive::<Float64Type>().values();
        for (_, degrees) in minutes.iter().zip(degrees).filter(|(minute, _)| ASKED.contains(*minute)) {
            rows += 1;
            sum += degrees;
        }
    }
    let expected: f64 = ASKED.map(celsius).sum();
    ensure!(rows == ASKED.end - ASKED.start && (sum - expected).abs() < 1e-6, "{rows} rows came back, or others");
    println!(
        "read 2 of 4 columns in {count} of {all} row groups: {rows} readings, {:.2} °C on average",
        sum / rows as f64
    );
    let (bytes, requests) = counted.fetched();
    println!("fetched {bytes} of {size} B in {requests} requests: {:.1} %", bytes as f64 * 100.0 / size as f64);
    ensure!(bytes < size / 4, "more was fetched than two columns of two row groups");
    Ok(())
}
