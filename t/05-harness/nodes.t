# Several nodes, their load and their judge, with plain nginx in the place of
# the gateway.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Clock;
use Test::LLM::Judge;
use Test::LLM::Load;
use Test::LLM::Nodes;
use Test::LLM::Provider;
use Test::LLM::Redis;

my $redis = Test::LLM::Redis->new;
my $provider = Test::LLM::Provider->new;
my $nodes = Test::LLM::Nodes->new(n => 2, workers => 2, redis => $redis,
    proxies => 1, clock => Test::LLM::Clock->new, module => 0, vars => { UP => $provider->port },
    conf => <<'EOC')->start;
    upstream up { server 127.0.0.1:%%UP%%; keepalive 8; }
    limit_req_zone $server_port zone=z:1m rate=20r/s;
    limit_req_status 429;
    server {
        listen 127.0.0.1:%%PORT%%;
        location = /msec  { return 200 "$msec %%NODE%% %%REDIS%%"; }
        location = /metrics { return 200 'x_total{a="1",b="2"} 3\nx_total{a="2"} 4\ny 1\n'; }
        location /v1/     { proxy_http_version 1.1; proxy_set_header Connection "";
                            proxy_pass http://up; }
        location /few/    { limit_req zone=z burst=5 nodelay;
                            proxy_pass http://up; }
    }
EOC

# nodes
sub clock_of { (split ' ', $nodes->node($_[0])->get('/msec')->body)[0] }

for my $i (0, 1) {
    my ($msec, $name, $at) = split ' ', $nodes->node($i)->get('/msec')->body;
    is($name, $i, "node $i");
    is($at, '127.0.0.1:' . $nodes->proxy($i)->port, '... has a proxy of its own');
    cmp_ok(abs($msec - now()), '<', 5, '... and the time');
}
$nodes->clock(1, 300_000);
ok(wait_for(sub { clock_of(1) > now() + 290 }),
   'a clock that is five minutes ahead');
cmp_ok(abs(clock_of(0) - now()), '<', 5,
       '... on one node');
$nodes->clock(1, -300_500);
ok(wait_for(sub { clock_of(1) < now() - 290 }),
   '... or behind');
$nodes->clock(1, 0);
is($nodes->metric('x_total'), 14, 'a metric of all nodes');
is($nodes->metric('x_total', b => 2), 6, '... by label');

# time that passes faster
{
    my $clock = Test::LLM::Clock->new(scale => 10);
    my $fast = Test::LLM::Redis->new(clock => $clock);
    my ($t, $micro) = @{ $fast->cmd('TIME') };
    cmp_ok(abs($t + $micro / 1e6 - $clock->at(now())), '<', 3, 'Redis has the time of the clock');
    $fast->cmd('SET', 'k', 1, 'PX', 2000);
    my $t0 = now();
    ok(wait_for(sub { !defined $fast->cmd('GET', 'k') }), '... which passes faster');
    cmp_ok(now() - $t0, '<', 1.5, '... ten times');

    my $gw = Test::LLM::Nodes->new(n => 1, workers => 1, clock => $clock, module => 0, conf => <<'EOC')->start->node(0);
        log_format t '$msec'; access_log %%DIR%%/t.log t flush=5s buffer=4k;
        server { listen 127.0.0.1:%%PORT%%; location / { return 200 $msec; } }
EOC
    cmp_ok(abs($gw->get('/')->body - $clock->at(now())), '<', 5, '... as in nginx');
    ok(wait_for(sub { -s $gw->dir . '/t.log' }, 2), '... whose timers are as fast');
    check($gw);
}

# the load
my $load = Test::LLM::Load->new(seed => 11);
$load->start(rate => 200, count => 200, to => $nodes->to(n0 => 3),
    as => [ { client => 'a', weight => 3, headers => { Authorization => 'Bearer k-a' } },
            { client => 'b', body => { stream => JSON::PP::true() } } ],
    use => [ 20, 200, 5, 50 ]);
my @r = $load->wait;
is(scalar @r, 200, 'as many records as requests');
is_deeply([ Test::LLM::Judge::strange(\@r) ], [], '... all answered');
my @log = $provider->log;
is(scalar @log, 200, 'as many arrivals');
my %by = map { $_->{tag} => $_ } @log;
is_deeply([ grep { my $l = $by{ $_->{tag} }; !$l || $l->{input} != $_->{input}
                   || $l->{output} != $_->{output} || $l->{client} ne $_->{client} } @r ],
    [], '... with the usage that was told');
is((grep { $_->{key} eq 'k-a' } @log), (grep { $_->{client} eq 'a' } @r), '... and keys');
cmp_ok((grep { $_->{reused} } @r), '>', 100, 'connections are used again');
my $n0 = grep { $_->{name} eq 'n0' } @r;
cmp_ok($n0, '>', 110, 'weights of nodes');
cmp_ok($n0, '<', 190, '...');
my $took = $r[-1]{t} - $r[0]{t};
cmp_ok($took, '>', 0.8, 'paced');
cmp_ok(Test::LLM::Judge::quantile(0.5, map { $_->{took} } @r), '<', 0.5, 'answered at once');

# clients that come one after the other
$load->start(rate => 100, seconds => 2, to => $nodes->to,
    waves => [ 0.5, 0.8, 'w', { headers => { 'X-Who' => '{{client}}' } } ]);
@r = $load->wait;
is_deeply([ sort keys %{{ map { $_->{client} => 1 } @r }} ], [ 'w0', 'w1', 'w2', 'w3' ], 'waves');
my @w1 = map { $_->{t} - $r[0]{t} } grep { $_->{client} eq 'w1' } @r;
cmp_ok($w1[0], '>', 0.4, '... that begin');
cmp_ok($w1[-1], '<', 1.5, '... and end');

# a killed worker, a reload, nodes that come and go
$load->start(rate => 100, seconds => 60, to => $nodes->to);
ok($nodes->kill_worker(0), 'a killed worker is replaced');
ok($nodes->reload(1), 'a reload');
my $new = $nodes->join_one;
$load->to($nodes->to);
ok(wait_for(sub { $load->now->{ok} > 50 }, 20), 'the load goes on');
$nodes->out(0);
$load->to($nodes->to);
ok($nodes->leave(0), 'a node leaves');
$load->halt;
@r = $load->wait;
ok((grep { $_->{name} eq "n$new" } @r), 'the new one has its part');
is_deeply([ grep { $_->{status} != 200 && !$_->{reused} && $_->{name} ne 'n0' } @r ], [],
    'no fresh request was lost');
$nodes->back(0);
is($nodes->node(0)->get('/msec')->status, 200, 'it comes back');

# refusals
$provider->forget;
$load->start(rate => 100, seconds => 2, path => '/few/x', to => $nodes->to);
@r = $load->wait;
my $ok = grep { $_->{status} == 200 } @r;
cmp_ok((grep { $_->{status} == 429 } @r), '>', 20, 'refusals are seen');
is($provider->count, $ok, '... and did not arrive');

# the provider's words
sub ask { chat($nodes->node(1), 'm', messages => [ { role => 'user', content => shift } ], @_) }
$provider->forget;
is(ask('tag=x.1 use=7/9')->json->{usage}{total_tokens}, 16, 'usage');
is(ask('tag=x.2 fail=429')->status, 429, 'a failure');
is(ask('tag=x.3 mute=1')->json->{usage}, undef, 'no usage');
my $slow = ask('tag=x.4 wait=120');
cmp_ok($slow->took, '>=', 0.119, 'late');
my @events = Test::LLM::Sse::events(ask('tag=x.5 use=1/30', stream => JSON::PP::true()));
is(scalar(() = Test::LLM::Sse::text(@events) =~ /word/g), 30, 'a stream with so many words');
is_deeply([ map { $_->{status} } $provider->log ], [ 200, 429, 200, 200, 200 ], 'all logged');

# the judge, on a log that is known
my @known = map { { at => $_, client => $_ % 2 ? 'a' : 'b', input => 10, output => 1 } } 1 .. 100;
my $judge = Test::LLM::Judge->new(reverse @known);
is($judge->most(window => 60)->{''}, 60, 'the fullest window');
is_deeply($judge->most(window => 10, by => 'client', of => 'tokens'), { a => 55, b => 55 },
    '... by client, in tokens');
is_deeply([ $judge->sliding(window => 60, limit => 60, slack => 0) ], [], 'a limit that is kept');
is(scalar(() = $judge->sliding(window => 60, limit => 59, slack => 0)), 1, '... and one that is not');
is(scalar(() = $judge->sliding(window => 60, limit => 58, bound => 1, slack => 0)), 1, '... by one');
is_deeply([ $judge->calendar(window => 50, limit => 50) ], [], 'calendar windows');
like(($judge->calendar(window => 50, limit => 49, slack => 0))[0], qr/all: 50 in the window from 50/,
    '... that hold too much');
is_deeply($judge->sum(of => 'money', price => [ 2, 5 ], by => 'client'),
    { a => 1250, b => 1250 }, 'money');
is($judge->sum(skip => sub { $_[0]{at} > 10 })->{''}, 10, 'records left out');

finish();
