import cf from 'cloudfront';  // when edge_origins

// Runs for each request, before CloudFront calls an origin. What it sets replaces what the viewer sent.
function handler(event) {
  const request = event.request;
  request.headers['x-nitro-host'] = { value: request.headers.host.value };
  // The APIs see the address of CloudFront's edge only.
  request.headers['x-nitro-address'] = { value: event.viewer.ip };
  // The distribution adds the real one, after this function.
  delete request.headers['x-nitro-origin-secret'];
  // `Upgrade` is hidden from this function.
  if (request.headers['sec-websocket-key']) {  // when websocket
    cf.selectRequestOriginById('websocket');
    moveToStage(request);
    return request;
  }  // when websocket
  // No function answers plain HTTP here, and the WebSocket API's own answer would mislead.  // when not http
  return { statusCode: 404, statusDescription: 'Not Found' };  // when not http
  askBucket(request, event.context.requestId);  // when public_s3
  return request;  // when http
}

// A WebSocket API answers at its stage's path only, so the route's path travels in the query.  // when websocket
function moveToStage(request) {  // when websocket
  const query = request.querystring;
  // Names arrive as they were written: `nitro%5Fpath` would be another name here and the same one at the API.
  Object.keys(query).forEach((name) => {
    if (decode(name) === 'nitro_path') {
      delete query[name];
    }
  });
  query.nitro_path = { value: encodeURIComponent(request.uri) };
  request.uri = '/<<stage>>';
}  // when websocket

function decode(name) {  // when websocket
  try {
    return decodeURIComponent(name);
  } catch (error) {
    return name;
  }
}  // when websocket

// The folders below which no route answers, the files elsewhere, and the folders with an index.  // when public_s3
const FOLDERS = <<public_folders>>;  // when public_s3
const FILES = <<public_files>>;  // when public_s3
const INDEXES = <<public_indexes>>;  // when public_s3

function askBucket(request, id) {  // when public_s3
  const uri = findFile(request);
  if (uri === null) {
    // A part of the cache's key: a route's answer is for one request, whatever path pattern it has come by.
    request.headers['x-nitro-request'] = { value: id };
    return;
  }
  request.uri = uri;
  // S3 would obey `response-content-type` and its like, and has no use for cookies.
  request.querystring = {};
  request.cookies = {};
  Object.keys(request.headers).forEach((name) => {
    if (name.startsWith('x-amz-') || DROPPED.includes(name)) {
      delete request.headers[name];
    }
  });
  const known = request.headers['if-range'];
  if (known && !known.value.startsWith('"')) {
    delete request.headers.range;
  }
  // What is not in the bucket is the app's to answer. S3 says 403, because nobody may list the bucket.
  cf.createRequestOriginGroup({
    originIds: [{ originId: 'public' }, { originId: 'http' }],
    failoverCriteria: { statusCodes: [403, 404] },
  });
}  // when public_s3

// Fields that S3 would take for its own, or that compare times.  // when public_s3
const DROPPED = [  // when public_s3
  'authorization', 'if-match', 'if-modified-since', 'if-unmodified-since', 'x-nitro-request',
];  // when public_s3

// Returns the path of the file in the bucket, still encoded, or null.  // when public_s3
function findFile(request) {  // when public_s3
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return null;
  }
  // S3 would take it for a space.
  const uri = request.uri.replace(/\+/g, '%2B');
  let path;
  try {
    path = decodeURIComponent(uri);
  } catch (error) {
    return null;
  }
  const end = path.lastIndexOf('/') + 1;
  if ((FILES[path.slice(0, end)] || []).includes(path.slice(end))) {
    return uri;
  }
  const folder = path.replace(/\/+$/, '');
  if (INDEXES.includes(folder)) {
    return folder.split('/').map(encodeURIComponent).join('/') + '/index.html';
  }
  return path.slice(end) && FOLDERS.some((one) => path.startsWith(one)) ? uri : null;
}  // when public_s3
