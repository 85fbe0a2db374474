# Eleven keys of 50 requests a day, three nodes: exactly 550, wherever the load
# is.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Fleet;

plan skip_all => 'no redis-server' unless Test::LLM::Redis->available;

my $keys = join '', map { "sk-fleet-pool-$_\n" } 1 .. 11;

for my $case ([ 'all', n0 => 1, n1 => 1, n2 => 1 ], [ 'one', n0 => 0, n1 => 1, n2 => 0 ],
              [ 'mostly one', n0 => 60, n1 => 1, n2 => 3 ])
{
    my ($name, %weight) = @$case;
    my $fleet = Test::LLM::Fleet->new(workers => 2, scale => 4, files => { 'keys' => $keys },
        http => <<'EOC', server => 'location /pool/ { llm_pass g; }')->start;
    llm_key_pool many { keys file:%%DIR%%/keys limit=50r/d reset=00:00; cooldown off; }
    llm_provider gem { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; keys many; breaker off; keepalive 32; }
    llm_model g { provider gem; id g-1; }
EOC
    note 'seed ', $fleet->seed;
    $fleet->pass(4);

    my ($ok, $refused, $other, $rounds) = (0, 0, 0, 0);
    my $since = time;

    # until nobody has been admitted for long
    for (my $quiet = 0; $quiet < 2 && time - $since < 90; $rounds++) {
        $fleet->offer(rate => 150, seconds => 8, to => $fleet->nodes->to(%weight),
            path => '/pool/v1/chat/completions', model => 'm', as => [ { client => 'c' } ]);
        my @r = $fleet->load->wait;
        my $now = grep { $_->{status} == 200 } @r;
        $ok += $now;
        $refused += grep { $_->{status} == 429 || $_->{status} == 503 } @r;
        $other += grep { $_->{status} != 200 && $_->{status} != 429 && $_->{status} != 503 } @r;
        $quiet = $now ? 0 : $quiet + 1;
    }

    my @log = $fleet->provider->log;
    my %key;
    $key{ $_->{key} }++ for @log;

    is(scalar @log, 550, "load on $name: the provider saw 550 requests");
    is($ok, 550, '... and answered as many');
    is(scalar(keys %key), 11, '... with eleven keys');
    is(join(' ', grep { $_ > 50 } values %key), '', '... none of them more than 50 times');
    is($other, 0, '... no other answers');
    note "$refused refused, $rounds rounds";
    check($_) for $fleet->nodes->nodes;
}

finish();
