// Holds requests to a collector's /v1/traces, a JSON text a line of the file, against the published schema: the .proto
// files that @opentelemetry/otlp-grpc-exporter-base ships. What OTLP's JSON is beside protobuf's own: ids are in
// hexadecimal, enums are numbers (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
const fs = require("node:fs");
const path = require("node:path");
const assert = require("node:assert");
const protobuf = require("protobufjs");

const PROTOS = path.join(process.env.NODE_PATH, "@opentelemetry/otlp-grpc-exporter-base/build/protos");
const IDS = { traceId: 32, spanId: 16, parentSpanId: 16 };
const LONGS = new Set(["int64", "uint64", "sint64", "fixed64", "sfixed64"]);

const root = new protobuf.Root();
root.resolvePath = (_, target) => path.join(PROTOS, target);
root.loadSync("opentelemetry/proto/collector/trace/v1/trace_service.proto");
const Request = root.lookupType("opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest");

// One value of a field as protobufjs takes it.
function one(field, value, at) {
  if (field.resolvedType instanceof protobuf.Enum) {
    assert(value in field.resolvedType.valuesById && Number.isInteger(value), `${at}: no number of ${field.type}`);
    return value;
  }
  if (field.resolvedType) return message(field.resolvedType, value, at);
  if (field.type === "bytes") {
    assert.match(value, new RegExp(`^[0-9a-f]{${IDS[field.name]}}$`), at);
    return Buffer.from(value, "hex");
  }
  if (LONGS.has(field.type)) assert.match(value, /^-?\d+$/, at);
  else assert.strictEqual(typeof value, field.type === "string" ? "string" : field.type === "bool" ? "boolean" : "number", at);
  return value;
}

function message(type, value, at) {
  assert(value !== null && typeof value === "object" && !Array.isArray(value), `${at}: no ${type.name}`);
  const made = {};
  for (const [name, given] of Object.entries(value)) {
    const field = type.fields[name];
    assert(field, `${at}: ${type.name} has no field ${name}`);
    field.resolve();
    made[name] = field.repeated ? given.map((each, n) => one(field, each, `${at}.${name}[${n}]`)) : one(field, given, `${at}.${name}`);
  }
  for (const choice of type.oneofsArray)
    assert(choice.oneof.filter((name) => name in value).length <= 1, `${at}: more than one of ${choice.name}`);
  return made;
}

let spans = 0;
for (const line of fs.readFileSync(process.argv[2], "utf8").trim().split("\n")) {
  const request = message(Request, JSON.parse(line), "request");
  const again = Request.toObject(Request.decode(Request.encode(Request.fromObject(request)).finish()), { longs: String });
  for (const resource of again.resourceSpans)
    for (const scope of resource.scopeSpans)
      for (const span of scope.spans) {
        spans++;
        assert(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano), "a span ends before it begins");
        assert(span.name.length > 0 && span.kind > 0, "a span without a name or a kind");
        assert(new Set(span.attributes.map(({ key }) => key)).size === span.attributes.length, "an attribute is there twice");
      }
}
console.log(`${spans} spans`);
