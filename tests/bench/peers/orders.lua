-- Orders for wrk, the same for all who take them: a token of one of the customers, a key of its own, an item at
-- random. At the end one line of JSON.
--
--   wrk -t 1 … -s orders.lua URL -- TOKENS_FILE KEY_PREFIX ITEMS

local tokens, count, number, prefix, items = {}, 0, 0, "", 1

function init(args)
  for line in io.lines(args[1]) do
    count = count + 1
    tokens[count] = line
  end
  prefix, items = args[2], tonumber(args[3])
  math.randomseed(os.time())
end

function request()
  number = number + 1
  local body = string.format('{"sku":"bench-%06d","quantity":1,"payment_method":"pm_card_visa","reference":"%s.%d"}',
    math.random(items) - 1, prefix, number)
  return string.format("POST /v1/orders HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nIdempotency-Key: %s-%d\r\n"
    .. "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
    wrk.headers.Host, tokens[number % count + 1], prefix, number, #body, body)
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format('{"answers":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50_us":%d,"p99_us":%d}',
    summary.requests, summary.duration / 1e6, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
