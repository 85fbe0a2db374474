# llm_session: what belongs together goes to who served the last of it, while
# that can be used.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my %env = map { ("K$_\_KEY" => "sk-key-000$_-x") } 'a' .. 'd';
my $keys = join ' ', map { "key env:K$_\_KEY;" } 'a' .. 'd';
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, KEYS => $keys }, env => \%env, workers => 2,
    files => { 'clients.json' => to_json({ clients => [ { id => 'ann' }, { id => 'bob' } ] }) }, conf => <<'EOC')->start;
    llm_zone t:3m;
    llm_clients clients.json;
    llm_key_pool k { select round_robin; %%KEYS%% }
    llm_provider a { base_url http://127.0.0.1:%%UP%%/a/v1; breaker off; }
    llm_provider b { base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; keys k; }
    llm_provider c { base_url http://127.0.0.1:%%UP%%/c/v1; breaker off; }
    llm_provider canned { dialect mock; seed 1; }
    llm_model ma { provider a; id m; }
    llm_model mb { provider b; id m; }
    llm_model mc { provider c; id m; }
    llm_route chain { target ma; target mb; target mc; }
    llm_route other { target ma; target mb; }
    llm_route last  { target ma; target mb on=error,timeout; }
    llm_split s { variant blue ma 50%;  variant green mb 50%; }
    llm_split f { variant blue ma 50%;  variant green mb 50%;  fallback blue green; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry 0 backoff=1ms..1ms budget=1000%;
        llm_session $http_x_recording;
        location /chain/ { llm_pass chain; }
        location /other/ { llm_pass other; }
        location /short/ { llm_session $http_x_recording ttl=50ms; llm_pass chain; }
        location /off/   { llm_session off; llm_pass chain; }
        location /last/  { llm_pass last; }
        location /who/   { llm_auth $http_x_client; llm_pass chain; }
        location /any/   { llm_pass $llm_model; }
        location = /transcribe { llm_transcribe; llm_pass chain; }
        location /s/     { llm_pass s; }
        location /f/     { llm_pass f; }
        location /files/ { llm_pass b; }
        location /mock/  { llm_pass canned; }
        location /admin/ { llm_admin; }
    }
EOC

my %is = map { $_ => 1 } 'a' .. 'c';
my $r;                                          # the last answer of ask()

sub up { %is = map { $_ => 1 } @_; script() }

sub script {
    $up->reset;
    $up->on("/$_/*" => $is{$_} ? ok_chat("by $_") : reply(500, {}, '{"error":{"message":"down"}}')) for 'a' .. 'c';
}

sub asked { return join '', map { $_->{path} =~ m{^/(\w)/} } $up->received }

sub ask {
    my ($where, $session, %more) = @_;
    script();
    $r = $gw->http(POST => "/$where/v1/chat/completions", { defined $session ? ('X-Recording' => $session) : (), %{ $more{headers} || {} } },
        chat_body($more{model} || 'm', %{ $more{body} || {} }));
    return asked();
}

sub admin { my ($method, $path, $doc) = @_; return $gw->http($method => "/admin/$path", { 'Content-Type' => 'application/json' }, to_json($doc)) }
sub variant { my ($split, $name) = @_; return (grep { $_->{name} eq $name } @{ $gw->get("/admin/splits/$split")->json->{variants} })[0] }

# ---- the target ---------------------------------------------------------------------------

up('b', 'c');
is(ask('chain', 'rec-1'), 'ab', 'a fallback serves the first piece');
up('a' .. 'c');
my %letter;
for (1 .. 5) {
    is(ask('chain', 'rec-1'), 'b', '... and is asked for the next ones');
    $letter{ ($up->received)[-1]{key} }++;
}
is(scalar keys %letter, 1, '... with the same key of the pool');
is(ask('chain', 'rec-2'), 'a', 'another session begins at the start of the chain');
is(ask('chain'), 'a', '... and so does a request without one');
is(ask('chain', ''), 'a', '... or with an empty name');
is(ask('off', 'rec-1'), 'a', '... or where there is none');
is(ask('other', 'rec-1'), 'a', '... or on another route');
is(ask('any', 'rec-1', model => 'chain'), 'b', 'the same route by a variable');
$gw->reload;
is(ask('chain', 'rec-1'), 'b', 'a reload forgets nothing');

my ($type, $form) = form(file => [ '; filename="a.wav"', fixture_text('audio/hello.wav') ]);
script();
$up->on('/b/*' => reply(200, {}, '{"text":"hello"}'));
$r = $gw->http(POST => '/transcribe', { 'Content-Type' => $type, 'X-Recording' => 'rec-1' }, $form);
is($r->json->{text}, 'hello', 'a piece of a recording');
is(asked(), 'b', '... goes there as well');

# ---- it fails -----------------------------------------------------------------------------

up('c');
my $who;
$who = ask('chain', 'rec-1');
is($who, 'bac', 'who served it fails: the chain from its start');
is($r->status, 200, '... serves it');
is($r->header('x-llm-fallbacks'), 2, '... as fallbacks');
up('a' .. 'c');
is(ask('chain', 'rec-1'), 'c', '... and the last of it is asked first from then on');
up();
$who = ask('chain', 'rec-1');
is($who, 'cab', 'all of them fail: each was asked once');
is($r->status, 502, '... and the client is told');
up('a' .. 'c');
is(ask('chain', 'rec-1'), 'c', '... which changes nothing');

is(admin(PUT => 'models/mc', { enabled => JSON::PP::false() })->status, 200, 'its model is switched off');
is(ask('chain', 'rec-1'), 'a', '... the chain from its start');
admin(PUT => 'models/mc', { enabled => JSON::PP::true() });
is(ask('chain', 'rec-1'), 'a', '... which it stays with');

up('b');
is(ask('last', 'rec-1'), 'ab', 'a target for some failures only');
up('a', 'b');
is(ask('last', 'rec-1'), 'a', '... keeps nobody');

# ---- a stream -----------------------------------------------------------------------------

script();
$up->on('/a/*' => reply(500, {}, '{}'));
$up->on('/b/*' => ok_stream([ 'one', [ barrier => 'go' ], 'two' ]));
my $c = $gw->request(POST => '/chain/v1/chat/completions', { 'X-Recording' => 'rec-3' }, chat_body('m', stream => JSON::PP::true()));
Test::LLM::Client::run(10, $c, sub { ($c->body // '') =~ /one/ });
my $d = $gw->request(POST => '/chain/v1/chat/completions', { 'X-Recording' => 'rec-3' }, chat_body('m', stream => JSON::PP::true()));
Test::LLM::Client::run(10, $d, sub { ($d->body // '') =~ /one/ });
is(asked(), 'abb', 'a stream that has begun says where the next request goes');
$up->release('go');
run_all(10, $c, $d);
is($c->complete, 1, '... and goes on');

# ---- whose, and for how long --------------------------------------------------------------

up('b', 'c');
ask('who', 'rec-4', headers => { 'X-Client' => 'ann' });
up('a' .. 'c');
is(ask('who', 'rec-4', headers => { 'X-Client' => 'ann' }), 'b', 'a session of a client');
is(ask('who', 'rec-4', headers => { 'X-Client' => 'bob' }), 'a', '... is not another client\'s');
is(ask('chain', 'rec-4'), 'a', '... nor anybody\'s');

up('b', 'c');
ask('short', 'rec-5');
up('a' .. 'c');
is(ask('chain', 'rec-5'), 'b', 'a session');
select undef, undef, undef, 0.06;               # real: the zone's clock is monotonic
is(ask('short', 'rec-5'), 'a', '... ends after its time');

# ---- the variant --------------------------------------------------------------------------

my (%side, @moved);
for my $i (1 .. 24) {
    ask('s', "talk-$i");
    $side{$i} = $r->header('x-llm-variant');
    ask('s', "talk-$i");
    push @moved, $i if $r->header('x-llm-variant') ne $side{$i};
}
is(join(' ', sort keys %{ { reverse %side } }), 'blue green', 'sessions of both variants');
is("@moved", '', '... each stays in its own');
is(variant('s', 'blue')->{totals}{n} + variant('s', 'green')->{totals}{n}, 48, '... and counts there');

sub stray { my ($want) = @_; return join ' ', grep { ask('s', "talk-$_"); $r->header('x-llm-variant') ne $want->($_) } sort keys %side }
my $doc = $gw->get('/admin/splits/s')->json;
is(admin(PUT => 'splits/s', { version => $doc->{version}, weights => { blue => 99, green => 1 } })->status, 200, 'weights move');
is(stray(sub { $side{ $_[0] } }), '', '... sessions do not');
is(variant('s', 'blue')->{totals}{n} + variant('s', 'green')->{totals}{n} + variant('s', 'green')->{totals}{affine}, 72, '... and are counted apart');
cmp_ok(variant('s', 'green')->{totals}{affine}, '>', 0, '... those that the split would have moved');
$doc = $gw->get('/admin/splits/s')->json;
is(admin(PUT => 'splits/s', { version => $doc->{version}, weights => { blue => 100, green => 0 } })->status, 200, 'a variant without weight');
is(stray(sub { 'blue' }), '', '... keeps nobody');

my $held;
for my $i (1 .. 40) {
    last if defined $held;
    ask('f', "roll-$i");
    $held = "roll-$i" if $r->header('x-llm-variant') eq 'blue';
}
up('b');
$who = ask('f', $held);
is("$who " . $r->header('x-llm-variant'), 'ab green', 'the fallback of a variant');
up('a', 'b');
$who = ask('f', $held);
is("$who " . $r->header('x-llm-variant'), 'b green', '... keeps the session');
is(admin(POST => 'splits/f/abort', { variant => 'green' })->status, 200, 'it is rolled back');
$who = ask('f', $held);
is("$who " . $r->header('x-llm-variant'), 'a blue', '... and keeps nobody');

# ---- what is held by a provider -----------------------------------------------------------

script();
$up->on('/b/v1/files' => reply(200, {}, '{"id":"file-1","object":"file"}'));
$up->on('/b/v1/files/file-1' => map { reply(200, {}, '{"id":"file-1","object":"file"}') } 1 .. 4);
($type, $form) = form(purpose => 'batch', file => [ '; filename="a.jsonl"', '{}' ]);
$gw->http(POST => '/files/v1/files', { 'Content-Type' => $type }, $form);
my $key = ($up->received)[-1]{key};
$gw->many(60, map { [ POST => '/mock/v1/chat/completions', { 'X-Recording' => "flood-$_" }, chat_body('m') ] } $_ * 100 .. $_ * 100 + 99) for 1 .. 30;
$gw->get('/files/v1/files/file-1') for 1 .. 3;
is(join(' ', keys %{ { map { $_->{key} => 1 } $up->received('/b/v1/files/file-1') } }), $key, 'a flood of sessions pushes no file out');
up('a' .. 'c');
is(ask('chain', 'rec-1'), 'a', '... and there is room for new ones');

finish();
