pub struct World; pub struct Odds { pub choices: usize, pub policy: f64, pub popularity: f64 }
impl World { pub fn simulate(_: usize, _: u64) -> Self { Self }
 pub fn users(&self) -> crate::Result<datafusion::arrow::array::RecordBatch> { Err(crate::Error::Failed(String::new())) }
 pub fn items(&self) -> crate::Result<datafusion::arrow::array::RecordBatch> { Err(crate::Error::Failed(String::new())) }
 pub fn events(&self) -> crate::Result<datafusion::arrow::array::RecordBatch> { Err(crate::Error::Failed(String::new())) }
 pub fn odds(&self) -> Odds { Odds { choices: 5, policy: 0., popularity: 0. } } }
