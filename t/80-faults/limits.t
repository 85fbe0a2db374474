# However requests end, their rules are settled: every place is given back, what
# was reserved is charged or refunded, and what is charged is what the provider
# says was used.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, SILENT => silent_port() }, workers => 2, level => 'crit', conf => <<'EOC')->start;
    llm_zone t:8m;
    access_log off;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; breaker off; inflight 60 queue=40 wait=400ms; timeout header=700ms first=700ms idle=700ms; }
    llm_provider d { dialect openai; base_url http://127.0.0.1:%%SILENT%%/v1; breaker off; }
    llm_model good { provider a; id a; price input=1000 output=2000; }
    llm_model dead { provider d; id d; price input=3000 output=3000; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry 1 backoff=1ms..2ms deadline=1500ms;
        llm_limit 1000000r/h 100000000t/h parallel=1000;
        llm_budget 100000usd/d;
        llm_budget per=provider 100000usd/d;
        location /a/  { llm_pass good; }
        location /da/ { llm_pass dead good; }
        location /few/ { llm_limit off; llm_budget off; llm_limit parallel=3 100000t/d; llm_pass good; }
        location /admin/ { llm_admin; }
        location = /metrics { llm_metrics; }
    }
EOC

my $true = JSON::PP::true();
my $path = 'v1/chat/completions';
my %used = (ok => [ 11, 3 ], stream => [ 20, 7 ], big => [ 11, 3 ], bad => [ 1, 1 ]);
my %usage = map { my ($i, $o) = @{ $used{$_} }; ($_ => { prompt_tokens => $i, completion_tokens => $o, total_tokens => $i + $o }) } keys %used;
$up->on('/*' => 'hang');
$up->on({ model => 'ok' } => ok_chat('fine'));
$up->on({ model => 'stream' } => ok_stream([ 'a', 'b', 'c' ], usage => $usage{stream}));
$up->on({ model => 'cut' } => ok_stream([ 'a', [ pause => 1 ], [ 'rst' ] ]));
$up->on({ model => 'fail' } => reply(500, {}, '{"error":{"message":"x"}}'));
$up->on({ model => 'limit' } => reply(429, {}, '{"error":{"message":"x"}}'));
$up->on({ model => 'no' } => reply(400, {}, '{"error":{"message":"x","type":"invalid_request_error"}}'));
$up->on({ model => 'garbage' } => [ [ send => "nonsense\\r\\n\\r\\n" ], 'fin' ]);
$up->on({ model => 'big' } => ok_chat('x' x 200_000));
$up->on({ model => 'hang' } => 'hang');
$up->on({ model => 'stall' } => [ @{ ok_stream([ 'a', 'b' ], done => 0, finish => undef) }, [ 'hang' ] ]);

sub body { my ($m, @more) = @_; return chat_body($m, max_tokens => 20, @more) }


# a provider as the target takes the client's name of the model, but has no price
my $plain = Test::LLM::Gateway->new(vars => { UP => $up->port, SILENT => silent_port() }, workers => 2, level => 'crit', conf => <<'EOC')->start;
    llm_zone t:8m;
    access_log off;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; breaker off; inflight 60 queue=40 wait=400ms; timeout header=700ms first=700ms idle=700ms; }
    llm_provider d { dialect openai; base_url http://127.0.0.1:%%SILENT%%/v1; breaker off; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry 1 backoff=1ms..2ms deadline=1500ms;
        llm_limit 1000000r/h 100000000t/h parallel=1000;
        location /a/  { llm_pass a; }
        location /da/ { llm_pass d a; }
        location /admin/ { llm_admin; }
        location = /metrics { llm_metrics; }
    }
EOC

sub rules {
    my ($g) = @_;
    return map { $_->{name} => $_ } @{ $g->get('/admin/limits')->json->{rules} };
}

my $ok = 0;
for my $round (1 .. 8) {
    my @c;
    for my $kind (qw(ok stream cut fail limit no garbage big stall)) {
        my @more = $kind =~ /stream|cut|stall/ ? (stream => $true) : ();
        push @c, start_all($plain, [ POST => "/a/$path", {}, body($kind, @more) ]) for 1 .. 3;
    }
    push @c, start_all($plain, [ POST => "/da/$path", {}, body('ok') ], [ POST => "/a/$path", {}, '{"broken' ], [ POST => "/a/$path", {}, body('hang') ]);
    my @gone = start_all($plain, map { [ POST => "/a/$path", {}, body($_, stream => $true) ] } qw(hang hang stall));
    run_all(20, @c);
    $_->abort(rand() < 0.5 ? 'hard' : '') for @gone;
    $ok += grep { $_->status == 200 && $_->complete } @c;
}
cmp_ok($ok, '>', 50, "$ok of many requests were served");

my %left;
ok(wait_for(sub { %left = rules($plain); $left{'parallel=1000'}{left} == 1000 }, 10), 'all places come back') or diag $left{'parallel=1000'}{left};

my $page = $plain->get('/metrics')->body;
sub total { my ($what, $rule) = @_; return $page =~ /^llm_limit_${what}_total\{rule="\Q$rule\E",dry_run="0"\} (\d+)/m ? $1 : undef }
for my $rule ('1000000r/h', '100000000t/h') {
    my ($reserved, $charged, $refunded) = map { total($_, $rule) } qw(reserved charged refunded);
    is($reserved - $refunded, $charged, "$rule: what was reserved is charged or refunded");
    is($left{$rule}{max} - $left{$rule}{left}, $charged, "... and missing in what is left");
}


# to the token -------------------------------------------------------------------

my ($before) = map { $_->{max} - $_->{left} } { rules($plain) }->{'100000000t/h'};
my @c = start_all($plain, map { ([ POST => "/a/$path", {}, body('ok') ], [ POST => "/a/$path", {}, body('stream', stream => $true) ]) } 1 .. 40);
run_all(30, @c);
is(scalar(grep { $_->status == 200 } @c), 80, '80 requests at once');
ok(wait_for(sub { my ($now) = map { $_->{max} - $_->{left} } { rules($plain) }->{'100000000t/h'}; $now - $before == 40 * 14 + 40 * 27 }), 'charged is what was used, to the token')
    or diag explain { rules($plain) }->{'100000000t/h'};


# money --------------------------------------------------------------------------

$up->on('/*' => ok_chat('fine'));
@c = start_all($gw, map { ([ POST => "/a/$path", {}, body('m') ], [ POST => "/da/$path", {}, body('m') ]) } 1 .. 20);
run_all(30, @c);
is(scalar(grep { $_->status == 200 } @c), 40, 'with prices');
my %rule = rules($gw);
is(sprintf('%.3f', $rule{'100000usd/d'}{totals}{charged}), '0.680', 'money to the cent, a failed target costs nothing');
is(sprintf('%.3f', $rule{'provider 100000usd/d'}{totals}{charged}), '0.680', '... and the same of providers');


# a worker dies ------------------------------------------------------------------

$up->on('/*' => 'hang');
@c = start_all($gw, map { [ POST => "/few/$path", {}, body('m') ] } 1 .. 3);
run_all(5, @c, sub { $rule{'parallel=3'} = { rules($gw) }->{'parallel=3'}; $rule{'parallel=3'}{left} == 0 });
is($rule{'parallel=3'}{left}, 0, 'three places of three are taken');
my $held = { rules($gw) }->{'100000t/d'}{left};
$gw->expect_log(qr/exited on signal 9/);
kill KILL => $gw->workers;
ok(wait_for(sub { my $r = eval { +{ rules($gw) } }; $r && $r->{'parallel=3'}{left} == 3 }, 15), 'places of killed workers come back');
is({ rules($gw) }->{'100000t/d'}{left}, $held, 'their tokens stay charged');
$up->on('/*' => ok_chat('fine'));
is($gw->post("/few/$path", body('m'))->status, 200, 'and others are served');

finish();
