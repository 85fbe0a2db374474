# Each mistake in a configuration stops nginx -t with file, line, the offending
# word and what was expected; and no message ever shows a key.

use lib 't/lib';
use Test::LLM;

my $P = 'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; }';
my $M = 'llm_model m { provider p; id x; }';
my $ENV = { GOOD_KEY => 'sk-good-0001', OTHER_KEY => 'sk-good-0002',
            EMPTY_KEY => '', SPACE_KEY => "sk-with blank", CTRL_KEY => "sk-ct\x01rl",
            TAIL_KEY => "sk-tail-003 " };

sub gateway {
    my ($http, $location, %o) = @_;
    my $gw = Test::LLM::Gateway->new(env => $ENV, files => {
        'one.key' => "sk-file-0001\n", 'none.key' => "\n",
        'many.keys' => "# keys\nsk-many-0001\n\nsk-many-0002\n",
        'bad.keys' => "sk-many-0003\nsk many 4\n",
        'prompt.txt' => 'You are terse.',
        'good.schema.json' => '{"type":"object","properties":{"a":{"type":"string"}}}',
        'odd.schema.json' => '{"type":"object","$dynamicRef":"#x"}',
        'no.schema.json' => '{"type":',
    }, secrets => [ 'sk-file-0001', 'sk-many-0001', 'sk-many-0002',
                    'sk-many-0003', 'sk many 4', "sk-with blank", 'sk-clear-' ],
       %o);
    $location //= '';
    my $zone = $http =~ /llm_zone/ ? '' : 'llm_zone t:4m;';
    $gw->{conf} = <<"EOC";
    $zone
    $http
    server {
        listen 127.0.0.1:%%PORT%%;
        $location
    }
EOC
    return $gw;
}

# refused, with these words
sub refused {
    my ($name, $re, $http, $location) = @_;
    my $gw = gateway($http, $location);
    my ($code, $out) = $gw->test_conf;
    my @re = ref $re eq 'ARRAY' ? @$re : $re;

    subtest $name => sub {
        isnt($code, 0, 'refused');
        like($out, $_, "says $_") for @re;
        like($out, qr/\[emerg\].* in \S+nginx\.conf:\d+/, 'file and line');
        is_deeply($gw->{leaks}, [], 'no key shown');
        diag $out if $out !~ $re[0];
    };
}

# accepted, saying this (a warning or a notice)
sub accepted {
    my ($name, $re, $http, $location) = @_;
    my $gw = gateway($http, $location);
    my ($code, $out, $log) = $gw->test_conf;

    subtest $name => sub {
        is($code, 0, 'accepted') or diag $out;
        like($log, $re, "says $re") if $re;
        unlike($out, qr/\[(warn|emerg|alert|crit)\]/, 'quiet') unless $re;
        is_deeply($gw->{leaks}, [], 'no key shown');
    };
}


# ---- what works ---------------------------------------------------------------

accepted('a provider and llm_pass', undef, $P, 'location / { llm_pass p; }');
accepted('a model', undef, "$P $M", 'location / { llm_pass m; }');
accepted('names used before they are defined', undef,
    "llm_route r { target m; } $M $P", 'location / { llm_pass r; }');
accepted('several names', undef, "$P $M", 'location / { llm_pass m p; }');
accepted('a variable', undef, "$P $M", 'location / { llm_pass $llm_model; }');
accepted('everything can be off', undef, <<'EOC', 'location / { llm_pass p; llm_retry off; llm_response_headers off; }');
    llm_key_pool k { key env:GOOD_KEY; cooldown off; }
    llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; keys k; breaker off; }
EOC
accepted('conditions and sizes with and without spaces', undef, <<'EOC', 'location / { llm_pass m; }');
    llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1;
        timeout connect=1s header=2s; timeout total=1m;
        inflight 4 queue=8 wait=500ms; keepalive 8 timeout=10s; }
    llm_model m { provider p; id x; context 128k; can chat stream creative_writing;
        price input=0.5 output=1.5 cached=0.1 audio=0.006; tier low; internal; }
EOC


# ---- blocks and words -----------------------------------------------------------

refused('unknown member of a provider', qr/unknown directive "dialekt"/,
    'llm_provider p { dialekt openai; }');
refused('unknown member of a pool', qr/unknown directive "kee"/,
    'llm_key_pool p { kee env:GOOD_KEY; }');
refused('unknown member of a model', qr/unknown directive "idd"/,
    "$P llm_model m { provider p; idd x; }");
refused('unknown member of a route', qr/unknown directive "targett"/,
    "$P $M llm_route r { targett m; }");
refused('unknown member of a prompt', qr/unknown directive "sistem"/,
    'llm_prompt x { sistem "a"; user "{a}"; }');
refused('a member twice', qr/"base_url".* is duplicate/,
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; base_url http://127.0.0.1:2/v1; }');
refused('a member without its value', qr/invalid number of arguments in "dialect" directive/,
    'llm_provider p { dialect; base_url http://127.0.0.1:1/v1; }');
refused('llm_provider without a name', qr/invalid number of arguments in "llm_provider"/,
    'llm_provider { dialect openai; }');
refused('llm_provider in a server', qr/"llm_provider" directive is not allowed here/,
    '', 'llm_provider p { dialect openai; }');
refused('llm_pass in http', qr/"llm_pass" directive is not allowed here/, "$P llm_pass p;");


# ---- names ----------------------------------------------------------------------

refused('a provider twice', [ qr/"p"/, qr/duplicate|already/ ], "$P $P");
refused('one namespace', [ qr/"p"/, qr/duplicate|already|conflict/ ],
    "$P llm_model p { provider p; id x; }");
refused('llm_pass of an unknown name', [ qr/"nobody"/, qr/\bp\b/ ], $P,
    'location / { llm_pass nobody; }');
refused('a model of an unknown provider', [ qr/"nobody"/, qr/\bp\b/ ],
    "$P llm_model m { provider nobody; id x; }");
refused('an unknown target', qr/"nobody"/, "$P $M llm_route r { target nobody; }");
refused('a route as a target', qr/"r"/, "$P $M llm_route r { target m; } llm_route s { target r; }");
refused('an unknown pool', [ qr/"nobody"/ ],
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; keys nobody; }');
refused('an unknown prompt', qr/"nobody"/, "$P $M", 'location / { llm_analyze nobody; llm_pass m; }');
refused('a route without targets', qr/"r"/, 'llm_route r { }');
for my $both ('llm_health; llm_pass p;', 'llm_pass p; llm_health;') {
    refused("a location with $both", qr/is incompatible with "llm_(?:health|pass)"/, $P, "location / { $both }");
}
for my $both ('llm_feedback; llm_pass p;', 'llm_pass p; llm_feedback;', 'llm_feedback; llm_health;', 'llm_health; llm_feedback;') {
    refused("a location with $both", qr/is incompatible with "llm_(?:feedback|health|pass)"/, $P, "location / { $both }");
}
refused('llm_feedback behind another handler', qr/"llm_feedback" directive has another handler before it in this location/, $P,
    'location /x/ { llm_admin; llm_feedback; }');
refused('llm_feedback twice', qr/"llm_feedback" directive is duplicate/, $P, 'location / { llm_feedback; llm_feedback; }');
refused('llm_pass twice', qr/"llm_pass" directive is duplicate/, "$P",
    'location / { llm_pass p; llm_pass p; }');


# ---- providers ------------------------------------------------------------------

refused('an unknown dialect', [ qr/"cobol"/, qr/openai/, qr/mock/ ],
    'llm_provider p { dialect cobol; base_url http://127.0.0.1:1/v1; }');
refused('a version that is no date', [ qr/"newest"/, qr/2023-06-01/ ],
    'llm_provider p { dialect anthropic; version newest; base_url http://127.0.0.1:1; }');
refused('native: another endpoint', [ qr/"embeddings"/, qr/expected messages, responses or off/ ],
    'llm_provider p { native responses embeddings; base_url http://127.0.0.1:1/v1; }');
refused('native: off with more', [ qr/"off"/, qr/expected messages, responses or off/ ],
    'llm_provider p { native messages off; base_url http://127.0.0.1:1/v1; }');
refused('native: twice', qr/duplicate endpoint "messages"/,
    'llm_provider p { native messages messages; base_url http://127.0.0.1:1/v1; }');
refused('native where the dialect leaves no choice', qr/"native" is incompatible with the dialect of llm_provider "p"/,
    'llm_provider p { native off; dialect anthropic; base_url http://127.0.0.1:1; }');
refused('Messages that Azure has not', qr/"native" is incompatible with the dialect of llm_provider "p"/,
    'llm_provider p { native messages; dialect azure; base_url http://127.0.0.1:1; }');
refused('native that the mock has not', qr/"native" is incompatible with the dialect of llm_provider "p"/,
    'llm_provider p { native messages; dialect mock; }');
refused('a version where there is none', qr/"version" is incompatible with the dialect of llm_provider "p"/,
    'llm_provider p { version 2023-06-01; dialect openai; base_url http://127.0.0.1:1/v1; }');
refused('a version that is no word', [ qr/"2024_10"/, qr/2024-10-21/ ],
    'llm_provider p { dialect azure; api_version 2024_10; base_url http://127.0.0.1:1; }');
refused('an empty version', [ qr/api_version ""/, qr/2024-10-21/ ],
    'llm_provider p { dialect azure; api_version ""; base_url http://127.0.0.1:1; }');
refused('a version in the query where there is none', qr/"api_version" is incompatible with the dialect of llm_provider "p"/,
    'llm_provider p { api_version 2024-10-21; dialect anthropic; base_url http://127.0.0.1:1; }');
refused('one in a header where there is none', qr/"version" is incompatible with the dialect of llm_provider "p"/,
    'llm_provider p { dialect azure; version 2023-06-01; base_url http://127.0.0.1:1; }');
refused('two versions', qr/"version" is incompatible with "api_version"/,
    'llm_provider p { dialect azure; api_version 2024-10-21; version 2023-06-01; base_url http://127.0.0.1:1; }');
refused('a deployment elsewhere', qr/"deployment" of llm_model "m" is incompatible with the dialect of its provider "p" in .*:\d+/,
    'llm_model m { provider p; deployment d; } llm_provider p { base_url http://127.0.0.1:1; }');
refused('a deployment without a name', qr/"deployment".* must not be empty/,
    'llm_model m { provider p; deployment ""; } llm_provider p { dialect azure; base_url http://127.0.0.1:1; }');
refused('stream_options that are neither', [ qr/"maybe"/, qr/on/, qr/off/ ],
    'llm_provider p { stream_options maybe; base_url http://127.0.0.1:1; }');
refused('no base_url', qr/base_url/, 'llm_provider p { dialect openai; }');
refused('no URL', qr/"ftp:\/\/x"/, 'llm_provider p { dialect openai; base_url ftp://x; }');
refused('an unknown timeout', qr/"lunch=3s"/,
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; timeout lunch=3s; }');
refused('a timeout that is no time', qr/"connect=soon"/,
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; timeout connect=soon; }');
refused('an error rate above 100 %', qr/"error_rate=150%"/,
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; breaker error_rate=150%; }');
refused('a probe of the mock', qr/"probe" is incompatible with "dialect mock" in llm_provider "p"/,
    'llm_provider p { dialect mock; probe; }');
refused('a probe with a word more', qr/"healthz"/,
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; probe healthz; }');
refused('a probe too often', qr/"interval=1ms"/,
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; probe interval=1ms; }');
refused('a path of a probe that is none', qr{invalid path "/a b" of "probe", no white space, control characters or "#" expected},
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; probe "/a b"; }');
refused('a breaker without failures', qr/"failures=x"/,
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; breaker failures=x; }');
refused('inflight zero', qr/"0"/,
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; inflight 0; }');
sub shed { 'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; shed ' . $_[0] . '; }' }
refused('shed without a reason', [ qr/"shed" directive needs/, qr/"ttft="/ ], shed('window=10s'));
refused('shed by something unknown', [ qr/"cpu=90%"/, qr/ttft=, latency=, remaining=/ ], shed('cpu=90%'));
refused('shed with a target that is no time', qr/"ttft=fast", expected a time/, shed('ttft=fast'));
refused('shed with a share that is none', qr/"remaining=10", expected a percentage/, shed('remaining=10'));
refused('shed with more than all', qr/"max=101%"/, shed('ttft=1s max=101%'));
refused('shed twice', qr/"shed" directive is duplicate/, shed('ttft=1s; shed off'));
refused('a priority that is none', [ qr/"urgent"/, qr/low, normal, high/ ], "$P llm_priority urgent;");
refused('two priorities', qr/"llm_priority" directive is duplicate/, "$P llm_priority low; llm_priority high;");
for my $time (qw(99ms 0 -1s fast on 15x)) {
    refused("a heartbeat every $time", qr/invalid heartbeat "\Q$time\E", expected "off" or a time of at least 100ms/, "$P llm_heartbeat $time;");
}
refused('two heartbeats', qr/"llm_heartbeat" directive is duplicate/, "$P llm_heartbeat off; llm_heartbeat 15s;");
refused('a session that never changes', [ qr/"once"/, qr/"off" or a variable/ ], "$P llm_session once;");
refused('a session that is off for some time', qr/"off", expected "off" or a variable/, "$P llm_session off ttl=1h;");
refused('a session for no time', qr/"ttl=0"/, "$P llm_session \$arg_id ttl=0;");
refused('a session for longer than anything', qr/"ttl=31d"/, "$P llm_session \$arg_id ttl=31d;");
refused('a session of something unknown', qr/"life=1h"/, "$P llm_session \$arg_id life=1h;");
refused('two sessions', qr/"llm_session" directive is duplicate/, "$P llm_session off; llm_session \$arg_id;");
accepted('shed in every form', qr/^(?!.*warn)/, shed('dry_run ttft=2s latency=10s remaining=12.5% window=1m max=50%'));
accepted('quotas of keys that clients bring', qr/"remaining" of "shed" has no effect/,
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; key client; shed remaining=10%; }');
refused('a header that is ours', qr/"Host"/i,
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; header Host evil; }');
refused('an unknown mock fault', [ qr/"sulk"/, qr/stall_header/ ],
    'llm_provider p { dialect mock; fault sulk; }');


# ---- keys -----------------------------------------------------------------------

refused('a missing variable', qr/NO_SUCH_KEY/, 'llm_key_pool k { key env:NO_SUCH_KEY; }');
refused('an empty variable', [ qr/EMPTY_KEY/, qr/empty/ ], 'llm_key_pool k { key env:EMPTY_KEY; }');
refused('white space in a key', [ qr/SPACE_KEY/, qr/space/ ], 'llm_key_pool k { key env:SPACE_KEY; }');
refused('white space after a key', qr/TAIL_KEY/, 'llm_key_pool k { key env:TAIL_KEY; }');
refused('a control character in a key', [ qr/CTRL_KEY/, qr/control/ ], 'llm_key_pool k { key env:CTRL_KEY; }');
refused('a missing file', [ qr/gone\.key/, qr/No such file/ ], 'llm_key_pool k { key file:%%DIR%%/gone.key; }');
refused('an empty file', [ qr/none\.key/, qr/empty/ ], 'llm_key_pool k { key file:%%DIR%%/none.key; }');
refused('a bad line in a key file', [ qr/bad\.keys/, qr/space/ ], 'llm_key_pool k { keys file:%%DIR%%/bad.keys; }');
refused('a key in the clear', qr/env:.*file:|file:.*env:/, 'llm_key_pool k { key sk-good-0001; }');
refused('a key in the place of a pool', qr/looks like a key/,
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; keys sk-clear-8c1d0f72b3a94e5d6f708192a3b4c5d6; }');
for my $url ('https://me:KEY@api.example.com/v1', 'me:KEY@api.example.com',
             'https://api.example.com/v1?key=KEY', 'https://api.example.com/v1#KEY') {
    refused('a key in a URL', qr/invalid base_url/,
        "llm_provider p { dialect openai; base_url @{[ $url =~ s/KEY/sk-clear-0001/r ]}; }");
}
refused('an unknown group', qr/"nobody"/, 'llm_key_pool k { key env:GOOD_KEY group=nobody; }');
refused('a group twice', [ qr/"g"/, qr/duplicate/ ], 'llm_key_pool k { group g; group g; key env:GOOD_KEY group=g; }');
refused('an unknown way to select', [ qr/"best"/, qr/headroom/, qr/in_order/ ],
    'llm_key_pool k { select best; key env:GOOD_KEY; }');
refused('a limit without its window', qr/"limit=5"|"5"/, 'llm_key_pool k { key env:GOOD_KEY limit=5; }');
refused('a limit of an unknown thing', qr/5q\/m/, 'llm_key_pool k { key env:GOOD_KEY limit=5q/m; }');
refused('a reset in an unknown zone', qr/Mars\/Base/,
    'llm_key_pool k { key env:GOOD_KEY limit=5r/d reset=00:00@Mars/Base; }');
refused('a weight of nothing', qr/"weight=0"/, 'llm_key_pool k { key env:GOOD_KEY weight=0; }');
refused('a pool without keys', qr/"k"/, 'llm_key_pool k { select random; }');

accepted('optional keys that are missing or empty', qr/\[notice\].*(?:NO_SUCH_KEY|EMPTY_KEY)/s, <<'EOC');
    llm_key_pool k { key env:GOOD_KEY; key env:NO_SUCH_KEY optional; key env:EMPTY_KEY optional;
                     key file:%%DIR%%/gone.key optional; }
EOC
accepted('the same key twice', qr/\[warn\]/, 'llm_key_pool k { key env:GOOD_KEY; key env:GOOD_KEY; }');
accepted('a key that does not look right', qr/\[warn\]/,
    'llm_provider p { dialect openai; base_url https://api.groq.com/openai/v1; key env:GOOD_KEY; } resolver 127.0.0.1;');
accepted('keys from files', undef,
    'llm_key_pool k { key file:%%DIR%%/one.key name=one; keys file:%%DIR%%/many.keys limit=50r/d reset=00:00@America/Los_Angeles; }');


# ---- models, prompts, retries ----------------------------------------------------

refused('a model without a provider', qr/provider/, "$P llm_model m { id x; }");
refused('a price that is none', qr/"input=cheap"/, "$P llm_model m { provider p; id x; price input=cheap; }");
refused("a parameter of the gateway's own", [ qr/"stream" cannot be changed/ ], "$P llm_model m { provider p; set stream true; }");
refused('... in capitals', [ qr/"Model" cannot be changed/ ], "$P llm_model m { provider p; drop top_p Model; }");
refused('... as a new name', [ qr/"messages" cannot be changed/ ], "$P llm_model m { provider p; rename prompt messages; }");
refused('a parameter twice', [ qr/duplicate member "top_p".*only one of/ ], "$P llm_model m { provider p; drop temperature top_p; set top_p 1; }");
refused('a new name twice', [ qr/duplicate member "a"/ ], "$P llm_model m { provider p; rename a b; rename a c; }");
refused('a new name that is the old one', [ qr/"rename" directive names the same member twice/ ], "$P llm_model m { provider p; rename a a; }");
refused('a parameter without a value', [ qr/invalid number of arguments in "default"/ ], "$P llm_model m { provider p; default max_tokens; }");
refused('a name of a parameter that is none', [ qr/invalid character "\{" in member name/ ], "$P llm_model m { provider p; drop '{'; }");
refused('too many parameters', [ qr/too many members are changed, at most 20/ ], "$P llm_model m { provider p; drop @{[ map { qq(p$_) } 1 .. 25 ]}; }");
refused('parameters of a provider', [ qr/"model" cannot be changed/ ],
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; default model x; }');
refused('an unknown way with what is unsupported', [ qr/unknown value of "unsupported" "ask", expected one of: drop, skip, error/ ],
    "$P llm_model m { provider p; unsupported ask; }");
refused('too many fields of a form', [ qr/too many fields, at most 16/ ], "$P $M", "location /t { llm_transcribe @{[ map { qq(p$_=1) } 1 .. 17 ]}; llm_pass m; }");
refused('an unknown tier', [ qr/"luxury"/, qr/premium/ ], "$P llm_model m { provider p; id x; tier luxury; }");
refused('an unknown condition', [ qr/"on=tuesday"|"tuesday"/, qr/exhausted/ ],
    "$P $M llm_route r { target m on=tuesday; }");
refused('resume that is neither on nor off', [ qr/"yes"/, qr/"on" or "off"/ ],
    "$P $M llm_route r { target m; resume yes; }");
refused('resume with too little text', qr/"max=10"/, "$P $M llm_route r { target m; resume on max=10; }");
refused('resume with an unknown option', qr/"min=1k"/, "$P $M llm_route r { target m; resume on min=1k; }");
refused('an unknown way to prefill', [ qr/"suffix"/, qr/message, prefix, continue/ ],
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; prefill suffix; }');
refused('an unknown option of prefill', [ qr/"loud"/, qr/echo/ ],
    'llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; prefill prefix loud; }');
refused('a missing prompt file', [ qr/gone\.txt/, qr/No such file/ ],
    'llm_prompt x { system file:%%DIR%%/gone.txt; user "{a}"; }');
refused('a schema that is no JSON', qr/no\.schema\.json/,
    'llm_prompt x { user "{a}"; answer json schema=file:%%DIR%%/no.schema.json; }');
refused('an unsupported keyword', [ qr/odd\.schema\.json/, qr/\$dynamicRef/ ],
    'llm_prompt x { user "{a}"; answer json schema=file:%%DIR%%/odd.schema.json; }');
refused('a prompt without a user text', qr/user/, 'llm_prompt x { system "a"; }');
refused('an unknown answer', [ qr/"yaml"/, qr/json/ ], 'llm_prompt x { user "{a}"; answer yaml; }');
refused('retries that are no number', qr/"many"/, $P, 'location / { llm_pass p; llm_retry many; }');
refused('a backoff that is no range', qr/"backoff=1s"/, $P, 'location / { llm_pass p; llm_retry 2 backoff=1s; }');
refused('a backoff upside down', qr/"backoff=5s\.\.1s"/, $P, 'location / { llm_pass p; llm_retry 2 backoff=5s..1s; }');
refused('an unknown option of llm_retry', qr/"luck=1"/, $P, 'location / { llm_pass p; llm_retry 2 luck=1; }');
refused('llm_response_headers of an unknown kind', [ qr/"some"/, qr/route/ ], $P, 'location / { llm_pass p; llm_response_headers some; }');
refused('a body that is read, unbuffered', [ qr/"llm_request_buffering off" needs "llm_endpoint passthrough"/, qr/nginx\.conf:\d+/ ], $P, 'location / { llm_pass p; llm_request_buffering off; }');
refused('an upload that is wrapped, unbuffered', qr/"llm_request_buffering off" needs/, "$P $M", 'location / { llm_pass m; llm_transcribe; llm_endpoint passthrough; llm_request_buffering off; }');
refused('buffering by half', qr/"half"/, "$P llm_request_buffering half;");
refused('an unknown endpoint', qr/"chat"|"chatter"/, $P, 'location / { llm_pass p; llm_endpoint chatter; }');
refused('a zone without a size', qr/"t2"/, 'llm_zone t2;');
refused('a zone that is too small', qr/"t3:1k"|too small/, 'llm_zone t3:1k;');

# a reload with a mistake keeps the old configuration
my $gw = gateway($P, 'location / { llm_pass p; }  location = /up { return 204; }')->start;
my $good = $gw->{conf};
$gw->expect_log(qr/\[emerg\].*nobody/);
ok(!$gw->reload($good =~ s/llm_pass p/llm_pass nobody/r), 'a bad reload is refused');
is($gw->get('/up')->status, 204, '... and the old configuration goes on');

finish();
