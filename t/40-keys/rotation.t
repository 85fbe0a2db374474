# Key pools: which key, what an outcome does to it, and who remembers.
# The provider's record is the judge: no key is sent to that is known to rest.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my %env = map { ("K$_\_KEY" => "sk-key-000$_-x") } 'a' .. 'p';
my $running;
my $keys = join ' ', map { "key env:K$_\_KEY;" } 'a' .. 'c';
my $eleven = join ' ', map { "key env:K$_\_KEY;" } 'a' .. 'k';

# a pool and a provider of its own for each case, so that no state is shared
sub gateway {
    my ($pool, %o) = @_;
    check($running) if $running;
    $up->reset;
    my $fallback = $o{fallback} ? 'target spare;' : '';
    my $state = $o{state} ? "llm_state $o{state};" : '';
    my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { %env, %{ $o{env} || {} } },
        workers => $o{workers}, conf => <<"EOC");
    llm_zone t:4m;
    $state
    log_format llm '\$status|\$llm_provider|\$llm_key|\$llm_attempts|\$llm_status_class|\$llm_error';
    access_log %%DIR%%/llm.log llm;
    llm_key_pool k { $pool }
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; keys k; breaker off; }
    llm_provider s { dialect openai; base_url http://127.0.0.1:%%UP%%/s/v1; breaker off; }
    llm_model m { provider a; id m-1; }
    llm_model m2 { provider a; id m-2; }
    llm_model spare { provider s; id spare; }
    llm_route r { target m; $fallback }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry @{[ $o{retry} || '3 backoff=1ms..5ms' ]};
        llm_response_headers all;
        location /m2/ { llm_pass m2; }
        location / { llm_pass r; }
    }
EOC
    $up->on('/s/*' => ok_chat('spare'));
    $up->on('/a/*' => ok_chat('fine'));
    $running = $gw;
    return $gw->start;
}

sub ask { my ($gw, %o) = @_; return chat($gw, 'x', path => '/v1/chat/completions', %o) }
sub letter { my ($q) = @_; my ($l) = ($q->{key} // '-') =~ /000(\w)/; return $l // '-' }
sub order { join '', map { letter($_) } $up->received('/a/*') }
sub bad { my ($letter, $script) = @_; $up->on({ path => '/a/*', key => "sk-key-000$letter-x" } => $script) }
sub http_file { [ [ 'http-file', fixture($_[0]) ] ] }
my $short = reply(429, { 'Retry-After' => 60 }, '{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}');
my $quota = http_file('openai/error.429-quota-credit.http');
my $unauthorized = reply(401, {}, '{"error":{"message":"Incorrect API key provided: {{key}}.","type":"invalid_request_error","code":"invalid_api_key"}}');

# ---- select ---------------------------------------------------------------------------

my $gw = gateway("select in_order; $keys");
ask($gw) for 1 .. 6;
is(order(), 'aaaaaa', 'in_order: always the first');

$gw = gateway("select round_robin; $keys");
ask($gw) for 1 .. 6;
is(order(), 'abcabc', 'round_robin');

$gw = gateway("select weighted; key env:Ka_KEY weight=3; key env:Kb_KEY;");
ask($gw) for 1 .. 8;
is(scalar(() = order() =~ /a/g), 6, 'weighted: three of four');
unlike(order(), qr/aaaa/, '... smoothly');

$gw = gateway("select random; $keys");
ask($gw) for 1 .. 40;
like(order(), qr/$_/, "random: $_ is used") for qw(a b c);

$gw = gateway(join ' ', map { "key env:K$_\_KEY limit=40r/m;" } 'a' .. 'd');
ask($gw) for 1 .. 40;
for my $k ('a' .. 'd') {
    my $c = () = order() =~ /$k/g;
    ok($c >= 5 && $c <= 15, "headroom spreads: $k $c of 40");
}

# ---- a 429 rests the group ---------------------------------------------------------------

$gw = gateway("select in_order; $keys");
bad(a => $short);
my $r = ask($gw);
is($r->status, 200, 'one of three independent keys limited');
is(order(), 'ab', '... the next key at once');
is($r->header('x-llm-attempts'), 2, '... two attempts');
cmp_ok($r->took, '<', 1, '... without waiting');
ask($gw) for 1 .. 5;
is(order(), 'abbbbbb', '... and the first is not asked again');

$gw = gateway("select in_order; group org; key env:Ka_KEY group=org; key env:Kb_KEY group=org; key env:Kc_KEY group=org;", fallback => 1);
bad($_ => $short) for qw(a b c);
$r = ask($gw);
is($r->status, 200, 'three keys of one organisation');
is($r->json->{choices}[0]{message}{content}, 'spare', '... the next target answers');
is(order(), 'a', '... one 429 for all three');
ask($gw) for 1 .. 5;
is(order(), 'a', '... and no other');
chat($gw, 'x', path => '/m2/v1/chat/completions');
is(order(), 'aa', 'another model of the organisation is asked');

$gw = gateway("select in_order; group org; key env:Ka_KEY group=org; key env:Kb_KEY group=org;");
bad($_ => $short) for qw(a b);
$r = ask($gw);
is($r->status, 429, 'without another target: 429');
is($r->header('x-llm-error'), 'provider_rate_limited', '... x-llm-error');
ok($r->header('retry-after') >= 50 && $r->header('retry-after') <= 70, '... Retry-After of the provider') or diag $r->head;
is($r->header('x-should-retry'), 'false', '... x-should-retry');
is($r->json->{error}{type}, 'rate_limit_error', '... error.type');
is($r->json->{error}{code}, 'rate_limit_exceeded', '... error.code');
$r = ask($gw);
is($r->status, 429, 'the next request as well');
is(order(), 'a', '... without a send');
ok($r->header('retry-after') >= 45, '... with the time that is left');

$gw = gateway("select in_order; $eleven", fallback => 1);
bad($_ => $short) for 'a' .. 'j';
my $tries = 0;
do { $r = ask($gw) } until order() =~ /k/ || ++$tries > 4;
is(order(), 'abcdefghijk', 'eleven independent keys: each is asked once') or diag order();
ask($gw) for 1 .. 3;
is(order(), 'abcdefghijkkkk', '... then only the good one');

# ---- other refusals ------------------------------------------------------------------------

$gw = gateway("select in_order; $keys");
bad(a => $unauthorized);
$r = ask($gw);
is($r->status, 200, '401: the next key');
ask($gw) for 1 .. 3;
is(order(), 'abbbb', '... the bad one is left alone');

$gw = gateway("key env:Ka_KEY;");
bad(a => $unauthorized);
$r = ask($gw);
is($r->status, 502, 'the only key refused: 502, not 401');
is($r->header('x-llm-error'), 'provider_auth', '... x-llm-error');
unlike($r->body, qr/sk-key/, '... without the provider\'s words about it');

$gw = gateway("select in_order; group org; key env:Ka_KEY group=org; key env:Kb_KEY group=org; key env:Kc_KEY;");
bad($_ => $quota) for qw(a b);
$r = ask($gw);
is($r->status, 200, 'insufficient_quota');
is(order(), 'ac', '... takes out the whole organisation');
chat($gw, 'x', path => '/m2/v1/chat/completions');
is(order(), 'acc', '... for every model');

for my $f ('openrouter/error.402.http', 'openai/error.403-country.http', 'openai/error.429-quota-legacy.http') {
    $gw = gateway("select in_order; $keys");
    bad(a => http_file($f));
    $r = ask($gw);
    is($r->status, 200, "$f: the next key");
    ask($gw);
    is(order(), 'abb', '... the first rests');
}

# ---- limits of our own -----------------------------------------------------------------------

$gw = gateway("select in_order; key env:Ka_KEY limit=3r/m; key env:Kb_KEY limit=2r/m;", fallback => 1);
my @r = map { ask($gw) } 1 .. 7;
is(order(), 'aaabb', 'requests a minute: each key up to its limit');
is($r[5]->json->{choices}[0]{message}{content}, 'spare', '... then the next target');

$gw = gateway("select in_order; group org limit=4r/m shared; key env:Ka_KEY group=org; key env:Kb_KEY group=org;");
@r = map { ask($gw) } 1 .. 6;
is(length order(), 4, 'a limit of a group holds for its keys together');
is($r[5]->status, 429, '... then 429');
ok($r[5]->header('retry-after') > 0 && $r[5]->header('retry-after') <= 66, '... with the wait') or diag $r[5]->head;

$gw = gateway("key env:Ka_KEY limit=5000t/m;", fallback => 1);
$up->on('/a/*' => ok_chat('fine', usage => { prompt_tokens => 2000, completion_tokens => 400, total_tokens => 2400 }));
@r = map { ask($gw, max_tokens => 100) } 1 .. 4;
is(length order(), 3, 'tokens a minute are charged as used, not as estimated') or diag order();

$gw = gateway("key env:Ka_KEY limit=1r/m;", retry => 'off', fallback => 1);
my @many = $gw->many(10, map { [ POST => '/v1/chat/completions', {}, chat_body('x') ] } 1 .. 20);
is(length order(), 1, 'a limit holds against twenty at once');
is((grep { $_->status == 200 } @many), 20, '... the others are served elsewhere');

# ---- cooldown off, optional keys, log -----------------------------------------------------------

$gw = gateway("select in_order; cooldown off; $keys", retry => 'off');
bad(a => $short);
ask($gw) for 1 .. 3;
is(order(), 'aaa', 'cooldown off: nothing is remembered');

$gw = gateway("select in_order; key env:GONE_KEY optional; key env:EMPTY_KEY optional; key env:Kb_KEY;", env => { EMPTY_KEY => '' });
ask($gw);
is(order(), 'b', 'optional keys that are missing or empty are stepped over');

$gw = gateway("key env:GONE_KEY optional;", fallback => 1);
$r = ask($gw);
is($r->json->{choices}[0]{message}{content}, 'spare', 'a provider without a key is stepped over');
is($up->count('/a/*'), 0, '... and not asked');
$gw = gateway("key env:GONE_KEY optional;");
$r = ask($gw);
is($r->status, 503, 'no other target: 503');
is($r->header('x-llm-error'), 'gateway_no_target', '... x-llm-error');

$gw = gateway("select in_order; key env:Ka_KEY; key env:Kb_KEY name=second;");
bad(a => $short);
$r = ask($gw);
is($r->header('x-llm-key'), 'second', 'the key by name');
my @lines = grep { /rate_limited/ } split /\n/, $gw->log;
is(scalar @lines, 1, 'one line for the failed attempt') or diag $gw->log;
like($lines[0], qr/\ba\b.*m-1.*1\/2/, '... provider, model, key 1/2');
like($lines[0], qr/(?:wait|60)/, '... and the wait');

# ---- the state outlives workers ---------------------------------------------------------------

$gw = gateway("select in_order; $keys", workers => 2);
bad(a => $short);
ask($gw);
ask($gw) for 1 .. 12;
is(order() =~ tr/a//, 1, 'both workers know');
kill 'KILL', $gw->workers;
$gw->expect_log(qr/exited on signal 9/);
wait_for(sub { $gw->workers == 2 && ask($gw, timeout => 2)->status == 200 });
ask($gw) for 1 .. 6;
is(order() =~ tr/a//, 1, 'killed workers leave the knowledge');
$gw->reload;
ask($gw) for 1 .. 6;
is(order() =~ tr/a//, 1, 'a reload as well');
$gw->reload($gw->{conf} =~ s/key env:Kb_KEY;/key env:Kd_KEY;/r);
ask($gw) for 1 .. 6;
is(order() =~ tr/a//, 1, '... also when another key of the pool changed');
like(order(), qr/d$/, '... the new key is used');

my $dir = File::Temp::tempdir(CLEANUP => 1);
$gw = gateway("select in_order; $keys", state => "$dir/llm");
bad(a => $short);
bad(b => $unauthorized);
ask($gw);
is(order(), 'abc', 'before a restart');
$gw->quit;
is((stat "$dir/llm")[2] & 07777, 0700, 'llm_state: only for its owner');
my ($file) = glob "$dir/llm/*";
ok($file, '... something is written');
is((stat $file)[2] & 0777, 0600, '... only for its owner');
my $text = do { local $/; open my $f, '<', $file; <$f> };
unlike($text, qr/sk-key/, '... without keys');
$gw->start;
ask($gw) for 1 .. 3;
is(order(), 'abcccc', 'a restart remembers');
$gw->quit;
open my $f, '>', $file; print $f '{"broken'; close $f;
$gw->start;
is(ask($gw)->status, 200, 'a broken state file is no obstacle');

finish();
