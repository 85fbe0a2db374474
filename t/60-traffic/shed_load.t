# A provider of fixed capacity under twice the load: without shedding everybody
# would wait ever longer; with it those that matter are served in time, the
# provider is kept busy, and the rest is told at once to come back later.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Judge;
use Test::LLM::Load;
use Test::LLM::Provider;

my $provider = Test::LLM::Provider->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $provider->port }, workers => 2, conf => <<'EOC')->start;
    llm_zone t:8m;
    llm_provider p { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off;
        inflight 4 queue=10000 wait=60s; shed latency=1s window=2s max=100%; }
    llm_model m { provider p; id m; }
    llm_priority $http_x_priority;
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /v1/ { llm_pass m; }
        location /metrics { llm_metrics; }
    }
EOC

# 4 slots of 200 ms are 20 a second; 40 come
my $load = Test::LLM::Load->new(seed => 11);
$load->start(
    rate => 40, seconds => 24, words => 'wait=200', timeout => 60, most => 2000,
    to => [ { port => $gw->port, weight => 1, name => 'gw' } ],
    as => [ map { { client => $_->[0], weight => $_->[1], headers => { 'x-priority' => $_->[0] } } }
            [ high => 4 ], [ normal => 4 ], [ low => 32 ] ]);
my @all = $load->wait(120);

# the first third is for finding out
my ($first) = sort { $a <=> $b } map { $_->{t} } @all;
my @late = grep { $_->{t} >= $first + 8 } @all;
my %by;
push @{ $by{$_->{client}} }, $_ for @late;

sub served { grep { $_->{status} == 200 } @_ }
sub p90 { my @t = sort { $a <=> $b } map { $_->{took} } @_; return $t[$#t * 0.9] // 0 }

cmp_ok(scalar @{ $by{high} }, '>', 30, 'high requests came') or diag scalar @all;
is(scalar served(@{ $by{high} }), scalar @{ $by{high} }, 'high ones are never shed');
cmp_ok(p90(@{ $by{high} }), '<', 3, 'nine of ten soon: without shedding it were 8 s and more')
    or diag p90(@{ $by{high} });
cmp_ok(served(@{ $by{normal} }) / @{ $by{normal} }, '>', 0.8, 'most normal ones are served');
cmp_ok(served(@{ $by{low} }) / @{ $by{low} }, '<', 0.7, 'low ones make room');
cmp_ok(scalar served(@{ $by{low} }), '>', 30, '... but take what is left');

my @shed = grep { $_->{status} != 200 } @late;
is(scalar(grep { $_->{status} == 503 && $_->{code} eq 'policy_shed' } @shed), scalar @shed, 'what is refused is shed');
cmp_ok(p90(@shed), '<', 1.5, '... at once');
cmp_ok(served(@late) / 16, '>', 20 * 0.7, 'the provider is kept busy');
is($provider->count, scalar served(@all), 'and saw none of the rest');

note sprintf 'served %d of %d high (p90 %.2f s), %d of %d normal (p90 %.2f s), %d of %d low; %.1f a second',
    scalar served(@{ $by{high} }), scalar @{ $by{high} }, p90(@{ $by{high} }),
    scalar served(@{ $by{normal} }), scalar @{ $by{normal} }, p90(served(@{ $by{normal} })),
    scalar served(@{ $by{low} }), scalar @{ $by{low} }, served(@late) / 16;

finish;
