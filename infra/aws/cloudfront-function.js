import cf from 'cloudfront';  // when websocket

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
