# The mirror: what blue served goes to green once more.  The client never
# notices: not in time, not in its connection, not in its answer; and the copy
# is tried once, counted, and compared.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, TOTAL => 20 * $Test::LLM::Gateway::SLOW . 's' },
    env => { KEY_G => 'sk-green-00001' }, conf => <<'EOC')->start;
    llm_zone t:16m;
    client_max_body_size 10m;
    log_format llm '$status|$llm_variant|$llm_attempts|$request_method';
    access_log %%DIR%%/llm.log llm;

    llm_key_pool g { key env:KEY_G; cooldown off; }
    llm_provider blue { dialect openai; base_url http://127.0.0.1:%%UP%%/blue/v1; breaker off; }
    llm_provider green { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; keys g; breaker off;
                         header X-Seen $http_x_seen; header X-Set $set; timeout total=%%TOTAL%%; }
    llm_provider spare { dialect openai; base_url http://127.0.0.1:%%UP%%/spare/v1; breaker off; }
    llm_route two { target green; target spare; }
    llm_prompt p { user "{text}"; set model x; answer json repair=on; }

    llm_split all   { variant blue blue 100%; variant green two 0%; mirror green 100% inflight=3 max=64k; }
    llm_split half  { variant blue blue 100%; variant green green 0%; mirror green 25%; }
    llm_split forms { variant blue blue 100%; variant green green 0%; mirror green 100% multipart=on; }
    llm_split own   { variant blue blue 0%; variant green green 100%; mirror green 100%; }

    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry 2 backoff=10ms..20ms budget=100%;
        error_page 500 502 504 = /page;
        set $set "of $request_method";
        location /v1/ { llm_pass all; }
        location /half/ { llm_pass half; }
        location /forms/ { llm_pass forms; }
        location /own/ { llm_pass own; }
        location = /analyze { llm_analyze p; llm_pass all; }
        location = /page { return 200 page; }
        location /admin/ { llm_admin; }
        location = /up { return 204; }
    }
EOC

my $true = JSON::PP::true();
my $chat = '/v1/chat/completions';
sub mirror { return from_json($gw->get('/admin/splits/' . ($_[0] || 'all'))->body)->{mirror} }
sub green { return $up->count('/green/*') }

# the counters have grown by this much, and by nothing else
my %was = %{ mirror() };
sub grown {
    my ($name, %want) = @_;
    my $now;
    my $sum = sub { $_[0]{copies} + $_[0]{skipped} };
    wait_for(sub { $now = mirror(); $sum->($now) >= $sum->(\%was) + ($want{copies} || 0) + ($want{skipped} || 0) }, 10);
    my %got = map { $_ => $now->{$_} - $was{$_} }
        grep { !/_ms$|^variant$|^share$/ && $now->{$_} != $was{$_} } keys %$now;
    %was = %$now;
    is(to_json(\%got), to_json(\%want), $name);
}

# sockets of copies that the worker has open
sub sockets {
    my ($pid) = $gw->workers;
    open my $fh, '<', '/proc/net/unix' or die;
    my %datagram = map { my @f = split; ($f[6] => 1) } grep { / 0002 \d\d +\d+/ } <$fh>;
    return scalar grep { (readlink($_) // '') =~ /socket:\[(\d+)\]/ && $datagram{$1} } glob "/proc/$pid/fd/*";
}

sub quiet { ok(wait_for(sub { sockets() == 0 }, 5), "$_[0]: no socket stays open") }

# requests on one connection, one after the other: the status of each
sub keep_alive {
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gw->port) or die;
    my @status;

    for my $request (@_) {
        print $sock $request;
        my $got = '';
        until ($got =~ /\A[^\n]* 204 .*\r\n\r\n/s
               || $got =~ /^Content-Length: (\d+).*?\r\n\r\n(.*)/ms && length $2 >= $1)
        {
            sysread $sock, $got, 65536, length $got or last;
        }
        push @status, $got =~ m{^HTTP/1\.1 (\d+)};
    }
    return @status;
}

sub request {
    my ($body) = @_;
    return "POST $chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
}

# ---- a copy ------------------------------------------------------------------

$up->on('/blue/*' => ok_chat('{"a": 1, "b": [1, 2.0], "c": "x"}'));
$up->on('/green/*' => ok_chat('{"c":"y","b":[1.0,2],"a":1}', usage => { prompt_tokens => 5, completion_tokens => 9 }));

my $r = $gw->http(POST => $chat, { 'X-Seen' => 'yes', 'Idempotency-Key' => 'once', 'Accept' => 'application/json' },
                  chat_body('m', response_format => { type => 'json_object' }));
is($r->status, 200, 'the client is served');
is(from_json($r->json->{choices}[0]{message}{content})->{c}, 'x', '... by blue');
is($r->header('x-llm-variant'), 'blue', '... and told so');
ok(wait_for(sub { green() == 1 }, 5), 'the copy goes to green');

my ($b) = $up->received('/blue/*');
my ($g) = $up->received('/green/*');
is($g->{path}, '/green/v1/chat/completions', '... to the same endpoint');
is($g->{body}, $b->{body}, '... with the same body');
is($g->{key}, 'sk-green-00001', '... with a key of green');
is($g->{h}{'x-seen'}, 'yes', '... variables of headers work');
is($g->{h}{'x-set'}, 'of POST', '... and what was set');
is($g->{h}{accept}, 'application/json', '... headers go along');
is($g->{h}{'idempotency-key'}, undef, '... but for the Idempotency-Key');
is($b->{h}{'idempotency-key'}, 'once', '    that blue got');

grown('compared: tokens, text, members', copies => 1, json_checked => 1, members => 3, members_equal => 2,
      output_tokens => 9, served_output_tokens => 3, answer_bytes => 27, served_answer_bytes => 33);
ok(defined mirror()->{p50_ms}, '... and times');

is(scalar(() = $gw->access('llm.log') =~ /^200\|blue\|1\|POST$/mg), 1, 'one line in the access log');
is(scalar(() = $gw->access('llm.log') =~ /\|POST$/mg), 1, '... and none for the copy');

like($gw->log, qr/llm attempt 1: mirror=green provider=green .*, request: "POST/, '... which the error log names');

my $s = from_json($gw->get('/admin/splits/all')->body);
my %n = map { $_->{name} => $_->{n} } @{ $s->{variants} };
is("$n{blue} $n{green}", '1 0', 'a copy counts in no variant');

# ---- nobody waits -------------------------------------------------------------

$up->forget;
$up->on('/green/*' => [ [ barrier => 'slow' ], @{ ok_chat('late') } ]);

my $t = now();
my @lines = keep_alive((request(chat_body('m'))) x 2, "GET /up HTTP/1.1\r\nHost: x\r\n\r\n");
is("@lines", '200 200 204', 'three requests of one connection are served while their copies hang');
ok(wait_for(sub { $up->waiting('slow') == 2 }, 5), '... both');
cmp_ok(now() - $t, '<', 8, '... which takes nobody that long');

$gw->many(15, map { [ POST => $chat, {}, chat_body('m') ] } 1 .. 5);
ok(wait_for(sub { $up->waiting('slow') == 3 }, 5), 'inflight=3: one copy more');
grown('... and four are not made', skipped => 4);
$up->release('slow');
grown('the copies end', copies => 3, answer_bytes => 12, served_answer_bytes => 99,
      output_tokens => 9, served_output_tokens => 9);
quiet('after them');

# ---- errors stay unseen, and are not tried again --------------------------------

for my $case ([ 'a 500', reply(500, {}, '{"error":{"message":"no"}}') ],
              [ 'a 429', reply(429, { 'Retry-After' => 1 }, '{"error":{"message":"slow down"}}') ],
              [ 'a 400', reply(400, {}, '{"error":{"message":"bad","type":"invalid_request_error"}}') ],
              [ 'an empty answer', reply(200, {}, '') ],
              [ 'a reset', [ [ 'rst' ] ] ])
{
    my ($name, $script) = @$case;
    $up->reset;
    $up->on('/blue/*' => ok_chat('fine'));
    $up->on('/green/*' => $script);
    $up->close_all;                     # an idle connection that fails is replaced
    $r = chat($gw, 'm');
    is($r->status, 200, "$name of the copy: the client is served");
    is($r->header('x-llm-attempts') . $r->header('x-llm-fallbacks'), '10', '... in one attempt');
    grown('... an error of the mirror', copies => 1, errors => 1);
    is(green(), 1, '... that was tried once');
    is($up->count('/spare/*'), 0, '... and nowhere else');
}

$up->reset;
$up->on('/blue/*' => reply(500, {}, '{}'));
$up->on('/green/*' => ok_chat('fine'));
is(chat($gw, 'm')->status, 502, 'an original that failed');
grown('... is compared too', copies => 1, served_errors => 1);
is($up->count('/blue/*'), 3, '... after its retries');

# ---- streams ------------------------------------------------------------------

$up->reset;
$up->on('/blue/*' => ok_stream([ 'Hello', ' you' ], usage => { prompt_tokens => 3, completion_tokens => 2 }));
$up->on('/green/*' => ok_stream([ 'Bye', [ pause => 30 ], ' now' ], usage => { prompt_tokens => 3, completion_tokens => 4 }));
$r = chat($gw, 'm', stream => $true);
is(Test::LLM::Sse::text(Test::LLM::Sse::events($r)), 'Hello you', 'a stream is served');
grown('... and mirrored', copies => 1, output_tokens => 4, served_output_tokens => 2,
      answer_bytes => 7, served_answer_bytes => 9);
is(from_json(($up->received('/green/*'))[0]{body})->{stream}, $true, '... as it is');

$up->on('/green/*' => [ @{ ok_stream([ 'Bye' ], done => 0, finish => undef) }, [ 'fin' ] ]);
chat($gw, 'm', stream => $true);
grown('a copy that is cut is an error', copies => 1, errors => 1);

$up->on('/green/*' => event_script('{"error":{"message":"x","code":500}}'));
chat($gw, 'm', stream => $true);
grown('... and one that says so', copies => 1, errors => 1);

$up->on('/blue/*' => ok_stream([ '{"a":1', ',"b":"x"}' ]));
$up->on('/green/*' => ok_stream([ '{', '"b":', '"y","a":1.0}' ]));
chat($gw, 'm', stream => $true);
grown('members of streamed JSON', copies => 1, members => 2, members_equal => 1, answer_bytes => 17, served_answer_bytes => 15);

$up->on('/blue/*' => ok_stream([ ('x' x 10_000) x 7 ]));
chat($gw, 'm', stream => $true);
grown('a long stream has no length', copies => 1);
quiet('after streams');

# ---- application routes ----------------------------------------------------------

$up->reset;
$up->on('/blue/*' => ok_chat('```json' . "\n" . '{"severity": 3, "why": "x"}' . "\n```"));
$up->on('/green/*' => ok_chat('{"why": "y", "severity": 3.0, "more": true}'));
$r = $gw->post('/analyze', '{"text":"cough"}');
is_deeply($r->json, { severity => 3, why => 'x' }, '/analyze is served');
grown('... its answers are compared unwrapped', copies => 1, json_checked => 1, members => 3, members_equal => 1,
      output_tokens => 3, served_output_tokens => 3, answer_bytes => 43, served_answer_bytes => length $r->body);
is(from_json(($up->received('/green/*'))[0]{body})->{messages}[-1]{content}, 'cough', '... the copy is composed anew');

$up->on('/green/*' => ok_chat('no JSON at all'));
$gw->post('/analyze', '{"text":"cough"}');
grown('an answer that is no JSON', copies => 1, errors => 1, json_checked => 1, json_invalid => 1);

# ---- what is not copied ------------------------------------------------------------

$up->reset;
$up->on('/blue/*' => reply(200, {}, '{"id":"resp_1","object":"response","status":"completed","output":[]}'));
$up->on('/*/chat/completions' => ok_chat('x'));
$up->on('/blue/v1/chat/completions' => ok_chat('x'));
$up->on('/green/*' => ok_chat('x'));
my $big = chat_body('m', user => 'x' x 70_000);
is($gw->post($chat, $big)->status, 200, 'a large body is served');
grown('... and not copied: max=', skipped => 1);

my $form = join "\r\n", '--b', 'Content-Disposition: form-data; name="model"', '', 'm', '--b',
    'Content-Disposition: form-data; name="file"; filename="a.wav"', '', 'RIFFxxxxWAVEfmt ', '--b--', '';
my $type = { 'Content-Type' => 'multipart/form-data; boundary=b' };
$up->on('/*' => reply(200, {}, '{"text":"hello"}'));
is($gw->http(POST => "$_/audio/transcriptions", $type, $form)->status, 200, "a form by $_") for '/v1', '/forms';
ok(wait_for(sub { green() == 1 }, 5), 'multipart=on: one copy');
is(($up->received('/green/*'))[0]{body}, $form, '... byte by byte');
is(mirror('forms')->{skipped}, 0, '... and nothing skipped');

$gw->get('/v1/files/file-1');
$gw->http(POST => '/v1/batches', {}, '{"input_file_id":"x","endpoint":"/v1/chat/completions"}');
$gw->http(POST => '/v1/responses', {}, '{"model":"m","input":"x","previous_response_id":"resp_1"}');
$gw->http(POST => $chat, {}, '{');
is(chat($gw, 'm', path => "/own$chat")->header('x-llm-variant'), 'green', 'served by the mirror itself');
grown('nothing else was copied');
is(mirror('own')->{copies} + mirror('own')->{skipped}, 0, '... nor this');

# what the provider would store, nobody could delete

$up->reset;
$up->on('/blue/*' => map { reply(200, {}, '{"id":"resp_1","object":"response","status":"completed","output":[]}') } 1 .. 9);
$up->on('/green/*' => map { reply(200, {}, '{"id":"resp_2","object":"response","status":"completed","output":[]}') } 1 .. 9);
for my $t ([ ' { "model":"m","input":"x"}', ' { "store":false,"model":"m","input":"x"}' ],
           [ '{"model":"m","store": true, "input":"x"}', '{"model":"m","store": false, "input":"x"}' ],
           [ '{"model":"m","input":"x","previous_response_id":null,"store":null}',
             '{"model":"m","input":"x","previous_response_id":null,"store":false}' ])
{
    my $n = green();
    $gw->http(POST => '/v1/responses', {}, $t->[0]);
    ok(wait_for(sub { green() > $n }, 5), 'a response is copied');
    is(($up->received('/blue/*'))[-1]{body}, $t->[0], '... blue got what the client sent');
    is(($up->received('/green/*'))[-1]{body}, $t->[1], '... green is told not to store it');
}
$up->reset;
$up->on('/*' => map { ok_chat('x') } 1 .. 9);
$gw->http(POST => $chat, {}, chat_body('m', store => $true));
ok(wait_for(sub { green() == 1 }, 5), 'a chat that is stored is copied');
is(from_json(($up->received('/green/*'))[0]{body})->{store}, JSON::PP::false(), '... but not stored twice');
grown('these four', copies => 4, answer_bytes => 1, output_tokens => 3, served_answer_bytes => 1, served_output_tokens => 3);
$gw->http(POST => '/v1/responses', {}, $_)
    for '{"model":"m","input":"x","background":true}', '{"model":"m","input":"x","conversation":"conv_1"}';
grown('not in the background, nor what adds to a conversation');

# ---- a share ------------------------------------------------------------------------

$up->reset;
$up->on('/*' => ok_chat('x'));
$gw->many(60, map { [ POST => "/half$chat", {}, chat_body('m') ] } 1 .. 50) for 1 .. 8;
my $m;
ok(wait_for(sub { $m = mirror('half'); $up->count('/green/*') == $m->{copies} && $m->{copies} > 50 }, 10), 'copies are counted');
my $share = ($m->{copies} + $m->{skipped}) / 400;
cmp_ok(abs($share - 0.25), '<', 0.1, "a quarter of them was copied ($share)");

# ---- a client that leaves -------------------------------------------------------------

$up->reset;
$up->on('/blue/*' => [ [ barrier => 'blue' ], @{ ok_chat('x') } ]);
$up->on('/green/*' => ok_chat('x'));
my ($c) = start_all($gw, [ POST => $chat, {}, chat_body('m') ]);
ok(wait_for(sub { $up->waiting('blue') == 1 }, 5), 'a client waits');
$c->abort;
ok(wait_for(sub { $gw->access('llm.log') =~ /^499\|/m }, 5), '... and leaves');
grown('... nothing is copied');
$up->reset;
$up->on('/blue/*' => ok_chat('x'));
$up->on('/green/*' => [ [ barrier => 'g' ], @{ ok_chat('x') } ]);
($c) = start_all($gw, [ POST => $chat, { Connection => 'close' }, chat_body('m') ]);
run_all(10, $c);
ok(wait_for(sub { $up->waiting('g') == 1 }, 5), 'a client has its answer and is gone');
$up->release('g');
grown('... its copy goes on', copies => 1, answer_bytes => 1, served_answer_bytes => 1,
      output_tokens => 3, served_output_tokens => 3);

# ---- rollback, reload, the end ------------------------------------------------------

$up->reset;
$up->on('/blue/*' => ok_chat('x'));
$up->on('/green/*' => [ [ barrier => 'r' ], @{ ok_chat('x') } ]);
chat($gw, 'm') for 1 .. 2;
ok(wait_for(sub { $up->waiting('r') == 2 }, 5), 'two copies run');
$gw->reload;
chat($gw, 'm');
ok(wait_for(sub { $up->waiting('r') == 3 }, 5), 'the new worker makes copies too');
$up->release('r');
grown('all end after a reload', copies => 3, answer_bytes => 3, served_answer_bytes => 3,
      output_tokens => 9, served_output_tokens => 9);
ok(wait_for(sub { $gw->workers(1) == 1 }, 10), '... and so does the old worker');

$r = $gw->http(POST => '/admin/splits/all/abort', { 'Content-Type' => 'application/json' }, '{"variant":"green"}');
is($r->status, 200, 'green is barred');
is(chat($gw, 'm')->status, 200, '... blue serves');
grown('... and green gets no copies');

# a worker that is told to stop at once leaves copies behind
$up->on('/green/*' => [ [ 'hang' ] ]);
chat($gw, 'm', path => "/forms$chat");
ok(wait_for(sub { green() > 0 }, 5), 'a copy hangs');
$gw->stop;

finish();
