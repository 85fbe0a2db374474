/*
 * The scripts of shared limits.
 *
 * SHARE: what the nodes have declared of one counter lies in one
 * hash, and nobody is granted what the others may still use.
 *
 *   KEYS[1]  the hash: "_" -> "RUN SINCE", NODE -> "ALLOW SEQ ENDS RUN"
 *   ARGV     node, seq, allow, left, want, max, window (0: a calendar's), ttl,
 *            grace; then of each node that divides the limit, the own one
 *            included: its name and what it takes by default, after an x when
 *            it is silent, so that nobody waits for its word
 *   reply    {seq, allow, left, missing, "RUN SINCE"}
 *
 * An old declaration changes nothing, a repeated one is answered as before; so
 * lost, late and doubled commands are harmless.  A hash that is new to this
 * run of Redis has been lost, or its newest part has: until all have declared
 * again, or `grace` is over, nothing is granted.
 *
 * t/00-unit/share_model.h is the same in C, for the tests.
 *
 * MEMBERS: who divides limits.
 *
 *   KEYS[1]  the hash: NODE -> "JOINED SEEN SINCE", by Redis's clock
 *   ARGV     node, and when it joined, as it remembers ("": it does not)
 *   reply    {now, node, joined, seen, …}, this one included
 *
 * The first nodes, and those that come within 10 s of them, joined at 0.  Who
 * was silent for a minute while somebody else was not joins anew: the others
 * have divided without it.  SINCE is when a node's presence began without a
 * break, so that nodes that all lost Redis are no evidence against each other.
 *
 * WANT: a want, for those whose subscription is broken.
 *
 *   KEYS     {cp}:want (WANT -> when it is over), {cp}:gen
 *   ARGV     the want, ms, the channel
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_llm_share.h"


ngx_http_llm_script_t  ngx_http_llm_share_script = { ngx_string(
"local key, node = KEYS[1], ARGV[1]\n"
"local seq, allow, left = tonumber(ARGV[2]), tonumber(ARGV[3]),\n"
"                         tonumber(ARGV[4])\n"
"local want, max, window = tonumber(ARGV[5]), tonumber(ARGV[6]),\n"
"                          tonumber(ARGV[7])\n"
"local ttl, grace = ARGV[8], tonumber(ARGV[9])\n"
"\n"
"local time = redis.call('TIME')\n"
"local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
"local run = string.match(redis.call('INFO', 'server'),\n"
"                         'run_id:(%x%x%x%x%x%x%x%x)') or 'none'\n"
"\n"
"local field, declared = {}, {}\n"
"local flat = redis.call('HGETALL', key)\n"
"for i = 1, #flat, 2 do field[flat[i]] = flat[i + 1] end\n"
"\n"
"local mrun, since = string.match(field['_'] or '', '^(%S+) (%d+)$')\n"
"field['_'] = nil\n"
"\n"
"for id, text in pairs(field) do\n"
"    local a, s, e, r = string.match(text, '^(%d+) (%d+) (%d+) (%S+)$')\n"
"    if a then\n"
"        declared[id] = { allow = tonumber(a), seq = tonumber(s),\n"
"                         ends = tonumber(e), run = r }\n"
"    end\n"
"end\n"
"\n"
"local own = declared[node]\n"
"\n"
"if own and own.seq >= seq then\n"
"    return { own.seq, own.allow, math.max(own.ends - now, 0), 0,\n"
"             (mrun or '') .. ' ' .. (since or '') }\n"
"end\n"
"\n"
"since = tonumber(since)\n"
"if mrun ~= run then since = now end\n"
"\n"
"local ends, room = now + 3 * window, max - allow\n"
"local least = math.max(left, window * 3 / 2)\n"
"\n"
"local function counts(d, def)\n"
"    if not d or window > 0 and d.ends <= now then return def end\n"
"    if window > 0 and d.allow < def then\n"
"        if d.ends - now < least then return def end\n"
"        ends = math.min(ends, d.ends)\n"
"    end\n"
"    return d.allow\n"
"end\n"
"\n"
"local missing, def = 0, 0\n"
"\n"
"for i = 10, #ARGV, 2 do\n"
"    local id = ARGV[i]\n"
"    local silent, its = string.match(ARGV[i + 1], '^(x?)(%d+)$')\n"
"    its = tonumber(its)\n"
"    if id == node then\n"
"        def = its\n"
"    else\n"
"        local d = declared[id]\n"
"        if silent == '' and (not d or d.run ~= run) then\n"
"            missing = missing + 1\n"
"        end\n"
"        room = room - counts(d, its)\n"
"    end\n"
"    declared[id] = nil\n"
"end\n"
"\n"
"declared[node] = nil\n"
"for id, d in pairs(declared) do room = room - counts(d, 0) end\n"
"\n"
"if missing > 0 and now - since < grace then room = -1 end\n"
"if room > 0 then allow = allow + math.min(want, room) end\n"
"\n"
"if allow > def and window > 0 then\n"
"    if room < 0 or ends < now + left then ends = now + left end\n"
"else\n"
"    ends = now + 3 * window\n"
"end\n"
"\n"
"local mark = run .. ' ' .. string.format('%.0f', since)\n"
"\n"
"redis.call('HSET', key, '_', mark, node,\n"
"           string.format('%.0f %.0f %.0f %s', allow, seq, ends, run))\n"
"redis.call('PEXPIRE', key, ttl)\n"
"\n"
"return { seq, allow, ends - now, missing, mark }\n"
), "" };


ngx_http_llm_script_t  ngx_http_llm_members_script = { ngx_string(
"local key, node, joined = KEYS[1], ARGV[1], tonumber(ARGV[2])\n"
"local time = redis.call('TIME')\n"
"local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
"\n"
"local flat = redis.call('HGETALL', key)\n"
"local all, n, founded = {}, 0, nil\n"
"for i = 1, #flat, 2 do\n"
"    local j, s, c = string.match(flat[i + 1], '^(%d+) (%d+) (%d+)$')\n"
"    if j then\n"
"        all[flat[i]] = { joined = tonumber(j), seen = tonumber(s),\n"
"                         since = tonumber(c) }\n"
"        n = n + 1\n"
"        if tonumber(j) == 0 then\n"
"            founded = math.max(founded or 0, tonumber(c))\n"
"        end\n"
"    end\n"
"end\n"
"\n"
"local own = all[node]\n"
"\n"
"if not own then\n"
"    if not joined then\n"
"        joined = now\n"
"        if n == 0 or founded and now - founded < 10000 then joined = 0 end\n"
"    end\n"
"    own = { joined = joined, seen = now, since = now }\n"
"end\n"
"\n"
"if now - own.seen > 60000 then\n"
"    for id, m in pairs(all) do\n"
"        if id ~= node and m.since <= own.seen + 20000\n"
"           and m.seen > own.seen + 60000\n"
"        then\n"
"            own.joined = now\n"
"        end\n"
"    end\n"
"end\n"
"\n"
"if now - own.seen > 20000 then own.since = now end\n"
"own.seen = now\n"
"if not all[node] then n = n + 1 end\n"
"all[node] = own\n"
"\n"
"while true do\n"
"    local oldest, seen = nil, now - 2764800000\n"
"    if n > 64 then seen = now end\n"
"    for id, m in pairs(all) do\n"
"        if id ~= node and m.seen < seen then oldest, seen = id, m.seen end\n"
"    end\n"
"    if not oldest then break end\n"
"    redis.call('HDEL', key, oldest)\n"
"    all[oldest] = nil\n"
"    n = n - 1\n"
"end\n"
"\n"
"redis.call('HSET', key, node, string.format('%.0f %.0f %.0f', own.joined,\n"
"                                            own.seen, own.since))\n"
"redis.call('PEXPIRE', key, 2764800000)\n"
"\n"
"local reply = { now }\n"
"for id, m in pairs(all) do\n"
"    reply[#reply + 1] = id\n"
"    reply[#reply + 1] = m.joined\n"
"    reply[#reply + 1] = m.seen\n"
"end\n"
"return reply\n"
), "" };


ngx_http_llm_script_t  ngx_http_llm_want_script = { ngx_string(
"local time = redis.call('TIME')\n"
"local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
"redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)\n"
"redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])\n"
"redis.call('PEXPIRE', KEYS[1], 60000)\n"
"redis.call('HINCRBY', KEYS[2], 'lim', 1)\n"
"redis.call('PUBLISH', ARGV[3], 'lim ' .. ARGV[1])\n"
"return 1\n"
), "" };
