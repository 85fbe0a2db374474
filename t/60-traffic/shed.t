# Shedding: a provider that is late, or whose quota is nearly used up, gets the
# requests of higher priority alone; nobody else is asked in vain.

use lib 't/lib';
use Test::LLM;
use Digest::SHA qw(sha256_hex);

my %key = map { $_ => "sk-llm-shed-$_-000000000000" } qw(slow fast open);
my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(secrets => [ values %key ], files => { 'clients.json' => to_json({ clients => [
    { id => 'slow', key_sha256 => sha256_hex($key{slow}), priority => 'low' },
    { id => 'fast', key_sha256 => sha256_hex($key{fast}), priority => 'high' },
    { id => 'open', key_sha256 => sha256_hex($key{open}) } ] }) }, vars => { UP => $up->port }, workers => 2, env => { KEY_1 => 'sk-shed-0001', KEY_2 => 'sk-shed-0002' }, conf => <<'EOC')->start;
    llm_zone t:8m;
    llm_provider whole { dialect openai; base_url http://127.0.0.1:%%UP%%/whole/v1; breaker off;
        shed latency=300ms window=1s max=100%; }
    llm_provider first { dialect openai; base_url http://127.0.0.1:%%UP%%/first/v1; breaker off;
        shed ttft=300ms window=1s max=50%; }
    llm_provider dry   { dialect openai; base_url http://127.0.0.1:%%UP%%/dry/v1; breaker off;
        shed dry_run latency=300ms window=1s; }
    llm_provider queue { dialect openai; base_url http://127.0.0.1:%%UP%%/queue/v1; breaker off;
        inflight 2 queue=20 wait=20s; shed latency=300ms window=1s max=100%; }
    llm_provider quota { dialect openai; base_url http://127.0.0.1:%%UP%%/quota/v1; breaker off;
        shed remaining=10% window=1s max=100%; }
    llm_provider keys  { dialect openai; base_url http://127.0.0.1:%%UP%%/keys/v1; breaker off;
        key env:KEY_1; key env:KEY_2; shed remaining=10% window=1s max=100%; }
    llm_provider copy  { dialect openai; base_url http://127.0.0.1:%%UP%%/copy/v1; breaker off;
        shed remaining=10% window=1s max=100%; }
    llm_provider plain { dialect openai; base_url http://127.0.0.1:%%UP%%/plain/v1; breaker off;
        shed off; }
    llm_route over { target whole; target plain on=overloaded; }
    llm_route else { target whole; target plain on=error; }
    llm_split s {
        variant  blue   plain  100%;
        variant  green  copy   0%;
        mirror   green  100%;
    }
    llm_split t {
        sticky   $http_x_user;
        variant  blue   plain  0%;
        variant  green  whole  100%;
    }
    llm_priority $http_x_priority;
    llm_clients %%DIR%%/clients.json;
    log_format p "$uri $status $llm_error $llm_status_class $llm_client $llm_priority";
    access_log %%DIR%%/logs/p.log p;
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /whole/ { llm_pass whole; }
        location /first/ { llm_pass first; }
        location /dry/   { llm_pass dry; }
        location /queue/ { llm_pass queue; }
        location /quota/ { llm_pass quota; }
        location /keys/  { llm_pass keys; }
        location /copy/  { llm_pass copy; }
        location /plain/ { llm_pass plain; }
        location /over/  { llm_pass over; }
        location /else/  { llm_pass else; }
        location /s/     { llm_pass s; }
        location /t/     { llm_pass t; }
        location /limit/ { llm_limit 2r/h; llm_pass whole; }
        location /auth/  { llm_auth on; llm_pass quota; }
        location /low/   { llm_priority low; llm_pass whole; }
        location /admin/ { llm_admin; }
        location /metrics { llm_metrics; }
    }
EOC

sub body { my ($p, $priority, %o) = @_; return [ POST => "/$p/v1/chat/completions", { 'x-priority' => $priority }, chat_body('m', %o) ] }
sub ask { my ($p, $priority, %o) = @_; return $gw->http(@{ body($p, $priority, %o) }) }

sub metric {
    my ($name, %label) = @_;
    my $sum;
    for (split /\n/, $gw->get('/metrics')->body) {
        my ($labels, $value) = /^\Q$name\E\{(.*)\} (\S+)$/ or next;
        next if grep { $labels !~ /\b$_="\Q$label{$_}\E"/ } keys %label;
        $sum += $value;
    }
    return $sum;
}

sub shed_of {
    my ($p) = grep { $_->{name} eq $_[0] } @{ $gw->get('/admin/providers')->json->{providers} };
    return $p->{shed};
}

my ($hung, $log) = (0);

# so many requests hang at a provider, for longer than its target
sub hang {
    my ($p, $n, %o) = @_;
    my $name = "$p-" . ++$hung;
    $up->on("/$p/*" => [ [ barrier => $name ], @{ $o{stream} ? ok_stream(['x']) : ok_chat('x') } ]);
    my @c = start_all($gw, map { body($p, 'high', %o) } 1 .. $n);
    ok(run_all(20, @c, sub { $up->waiting($name) == ($o{sent} || $n) }) || 1, "$n requests hang");
    select undef, undef, undef, 0.5;           # the target of 300 ms is over for all of them
    return ($name, @c);
}

sub through {
    my ($name, @c) = @_;
    $up->release($name);
    run_all(20, @c);
    return scalar grep { $_->status == 200 } @c;
}

# ---- late answers --------------------------------------------------------------------------

is(shed_of('whole')->{level}, 0, 'level 0 at first');
is(shed_of('plain'), undef, 'without shed there is none');
$up->on('/plain/*' => ok_chat('plain'));

my ($name, @c) = hang('whole', 12);
my $r;
ok(wait_for(sub { $r = ask('whole', 'low'); $r->status == 503 }, 10), 'low ones are shed when answers are late')
    or diag $r->wire;
is($r->header('x-llm-error'), 'policy_shed', '... policy_shed');
is($r->header('x-should-retry'), 'true', '... nothing was sent: it may come back');
like($r->header('retry-after'), qr/^[12]$/, '... Retry-After');
is($r->json->{error}{type}, 'service_unavailable_error', '... in the dialect');
like($r->json->{error}{message}, qr/priority/, '... says why');
is($r->header('x-llm-attempts'), 0, '... no attempt');
cmp_ok($r->took, '<', 1.5, '... at once');

my $before = $up->count('/whole/*');
is(ask('low', 'high')->header('x-llm-error'), 'policy_shed', 'llm_priority of a location');
is($up->count('/whole/*'), $before, '... neither was sent');
is(ask('whole', '')->header('x-llm-error'), 'policy_shed', 'twice the limit in flight: normal ones as well, without a priority');
is(ask('whole', 'nonsense')->header('x-llm-error'), 'policy_shed', '... with one that is none');

my ($high) = start_all($gw, body('whole', 'high'));
run_all(10, $high, sub { $up->waiting($name) == 13 });
is($up->waiting($name), 13, 'high ones are let in');

$r = ask('over', 'low');
is($r->header('x-llm-provider'), 'plain', 'a target with on=overloaded takes over');
is($r->header('x-llm-fallbacks'), 1, '... a fallback');
is(ask('else', 'low')->header('x-llm-error'), 'policy_shed', '... one with on=error does not');

is(ask('limit', 'low')->header('x-llm-error'), 'policy_shed', 'what is shed uses up no limit') for 1 .. 4;

my $level = metric('llm_shed_level', provider => 'whole');
is($level, 1, 'the level in the metrics') or diag $gw->get('/metrics')->body;
is(metric('llm_shed_inflight', provider => 'whole'), 13, '... in flight');
cmp_ok(metric('llm_shed_limit', provider => 'whole'), '<', 12, '... and the limit below what was');
cmp_ok(metric('llm_shed_total', provider => 'whole', priority => 'low', dry_run => 'no'), '>=', 7, '... low ones counted');
is(metric('llm_shed_total', provider => 'whole', priority => 'normal', dry_run => 'no'), 2, '... and normal ones');
is(metric('llm_shed_level', provider => 'plain'), undef, '... none where it is off');
my $shed = shed_of('whole');
is($shed->{level}, 1, 'the level in the admin API');
is($shed->{inflight}, 13, '... in flight');
ok($shed->{limit} > 0 && $shed->{limit} < 12, '... the limit');
ok(!$shed->{dry_run}, '... no dry run');
is((() = $gw->log =~ /provider "whole": shedding begins: \d+ of \d+ answers came later than 300 ms, limit of \d+ in flight/g), 1,
   'one line in the log');

# evidence about a variant it is not
my $errors = metric('llm_split_requests_total', split => 't', variant => 'green', outcome => 'error') // 0;
is(ask('t', 'low')->header('x-llm-error'), 'policy_shed', 'shed in a split');
is(metric('llm_split_requests_total', split => 't', variant => 'green', outcome => 'error') // 0, $errors,
   '... is no error of the variant');

is(through($name, @c, $high), 13, 'all that were let in are served');
$up->on('/whole/*' => ok_chat('whole'));
ok(wait_for(sub { ask('whole', 'low')->status == 200 }, 10), 'nothing in flight: low ones are let in again');
is(metric('llm_shed_level', provider => 'whole'), 0, '... the level');
is(metric('llm_shed_inflight', provider => 'whole'), 0, '... in flight');
ok(wait_for(sub { $gw->log =~ /provider "whole": shedding ends/ }, 30), '... it ends, though nobody asks');
like(join("\n", grep { m{/whole/} } split /\n/, do { local (@ARGV, $/) = $gw->dir . '/logs/p.log'; <> }), qr{503 policy_shed shed}, 'variables');

# ---- streams, and a bound ----------------------------------------------------------------

($name, @c) = hang('first', 12, stream => \1);
ok(wait_for(sub { ask('first', 'low', stream => \1)->status == 503 }, 10), 'streams by their first content');
($high) = start_all($gw, body('first', 'normal', stream => \1));
run_all(10, $high, sub { $up->waiting($name) == 13 });
is($up->waiting($name), 13, 'max=50%: normal ones are never shed');
is(through($name, @c, $high), 13, '... and served');

# a stream that began in time may last
$up->on('/first/*' => [ @{ ok_stream(['x'], done => 0, finish => undef) }, [ barrier => 'long' ] ]);
@c = start_all($gw, map { body('first', 'high', stream => \1) } 1 .. 12);
run_all(20, @c, sub { $up->waiting('long') == 12 });
select undef, undef, undef, 1;
my $total = metric('llm_shed_total', provider => 'first') // 0;
$_->abort for @c;
$up->release('long');
ok(wait_for(sub { metric('llm_shed_inflight', provider => 'first') == 0 }, 10), 'clients that leave give their places back');

# ---- a dry run ---------------------------------------------------------------------------

($name, @c) = hang('dry', 12);
my @low;
ok(wait_for(sub {
    push @low, start_all($gw, body('dry', 'low'));
    run_all(0.1, $low[-1]);
    return metric('llm_shed_total', provider => 'dry', priority => 'low', dry_run => 'yes');
}, 10), 'a dry run counts');
is(metric('llm_shed_total', provider => 'dry', dry_run => 'no'), 0, '... and sheds nobody');
is(through($name, @c, @low), 12 + @low, '... all are served');
like($gw->log, qr/provider "dry": shedding begins \(dry run\)/, '... and says so in the log');
ok(shed_of('dry')->{dry_run}, '... and in the admin API');

# ---- the wait for a slot counts -----------------------------------------------------------

($name, @c) = hang('queue', 14, sent => 2);
ok(wait_for(sub { ask('queue', 'low')->status == 503 }, 10), 'those that wait in the queue are in flight, and late');
is($up->count('/queue/*'), 2, '... though they were not sent');
is(through($name, @c), 14, '... and are served in the end');

# ---- quotas ------------------------------------------------------------------------------

sub told { my ($left, %o) = @_; return ok_chat('quota', headers => [ map { "$_: $o{$_}" } keys %o ]) }

my %full = ('x-ratelimit-limit-requests' => 100, 'x-ratelimit-remaining-requests' => 60, 'x-ratelimit-reset-requests' => '10s');
my %none = (%full, 'x-ratelimit-remaining-requests' => 0, 'x-ratelimit-reset-requests' => '1h');
$up->on('/quota/*' => told(1, %full));
is(ask('quota', 'low')->status, 200, 'enough is left') for 1 .. 3;
is(metric('llm_shed_quota_left', provider => 'quota') < 0.7, 1, '... of successful answers, too');

$up->on('/quota/*' => told(1, %none));
is(ask('quota', 'high')->status, 200, 'the last one');
ok(wait_for(sub { ask('quota', 'low')->status == 503 }, 10), 'nothing is left: low ones are shed');
is(ask('quota', 'normal')->header('x-llm-error'), 'policy_shed', '... and normal ones');
is(ask('quota', 'high')->status, 200, '... not high ones: the provider decides');
like($gw->log, qr/provider "quota": shedding begins: [01]\.\d\d% of its quota are left/, '... the log says why');

# whose record has a priority needs nobody else's word
my $as = sub { $gw->http(POST => '/auth/v1/chat/completions', { 'x-priority' => $_[1], 'x-api-key' => $key{$_[0]} }, chat_body('m'))->status };
is($as->('slow', 'high'), 503, 'a client of low priority is shed, whatever it says');
is($as->('fast', 'low'), 200, '... one of high priority is not');
is($as->('open', 'low'), 503, '... one without: as llm_priority says');
is($as->('open', 'high'), 200, '... low or high');
ok(wait_for(sub { $log = do { local (@ARGV, $/) = $gw->dir . '/logs/p.log'; <> }; 4 == (() = $log =~ m{/auth/}g) }, 5), '... in the log');
like($log, qr{503 policy_shed shed slow low\n.* fast high\n.*503 policy_shed shed open low\n.* open high\n}s, '... as $llm_priority')
    or diag $log;

# the very long names of Anthropic, on an error
$up->on('/quota/*' => reply(429, {
    'anthropic-ratelimit-requests-limit' => 50, 'anthropic-ratelimit-requests-remaining' => 40,
    'anthropic-ratelimit-output-tokens-limit' => 8000, 'anthropic-ratelimit-output-tokens-remaining' => 8000 },
    '{"error":{"message":"slow down"}}'));
ask('quota', 'high');
ok(wait_for(sub { ask('quota', 'low')->header('x-llm-error') eq 'provider_rate_limited' }, 10),
   'names over 32 bytes are read: 80 % are left, low ones are let in');

# one key of two is used up, then both
$up->on({ path => '/keys/*', key => 'sk-shed-0001' } => told(1, %none));
$up->on({ path => '/keys/*', key => 'sk-shed-0002' } => told(1, %full));
ask('keys', 'high') for 1 .. 6;
is(ask('keys', 'low')->status, 200, 'a key that has nothing left is no reason while the other one has');
cmp_ok(metric('llm_shed_quota_left', provider => 'keys'), '>', 0.2, '... half of all is left');
$up->on({ path => '/keys/*', key => 'sk-shed-0002' } => told(1, %none));
ask('keys', 'high') for 1 .. 6;
ok(wait_for(sub { ask('keys', 'low')->status == 503 }, 10), '... when both have nothing it is one');

# ---- copies are of low priority ----------------------------------------------------------

$up->on('/copy/*' => told(1, %none));
ask('copy', 'high');
ok(wait_for(sub { ask('copy', 'low')->status == 503 }, 10), 'no quota for copies');
my $copies = $up->count('/copy/*');
$total = metric('llm_shed_total', provider => 'copy', priority => 'low');
is(ask('s', 'high')->status, 200, 'a request whose copy is shed');
ok(wait_for(sub { metric('llm_shed_total', provider => 'copy', priority => 'low') == $total + 1 }, 10),
   '... counts as low, whoever asked');
is($up->count('/copy/*'), $copies, '... and was not sent');

# ---- a killed worker takes its requests along ----------------------------------------------

($name, @c) = hang('whole', 12);
ok(wait_for(sub { ask('whole', 'low')->status == 503 }, 10), 'late again');
$gw->expect_log(qr/exited on signal 9/);
kill 'KILL', $gw->workers;
$up->release($name);
$_->abort for @c;
$up->on('/whole/*' => ok_chat('whole'));
ok(wait_for(sub { my $r = eval { ask('whole', 'low') }; $r && $r->status == 200 }, 20), 'killed workers: nothing is in flight any more');
ok(wait_for(sub { metric('llm_shed_inflight', provider => 'whole') == 0 }, 10), '... by their count');

# ---- and a reload keeps what is known ------------------------------------------------------

$up->on('/quota/*' => told(1, %none));
ask('quota', 'high');
ok(wait_for(sub { ask('quota', 'low')->status == 503 }, 10), 'no quota before a reload');
$gw->reload;
is(ask('quota', 'low')->header('x-llm-error'), 'policy_shed', '... none after it');

finish;
