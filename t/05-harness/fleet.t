# The judge of shared limits must find what is wrong: here each node keeps a
# limit for itself, which is right for one and too much for two.  A minute takes
# five seconds.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Fleet;

my $http = <<'EOC';
    llm_key_pool few { group g limit=60r/m; key env:FLEET_KEY group=g; }
    llm_provider tight { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; keys few; breaker off; }
    llm_model t { provider tight; id t-1; }
EOC

for my $n (1, 2) {
    my $fleet = Test::LLM::Fleet->new(alone => 1, n => $n, workers => 2, scale => 12,
        http => $http, server => 'location /few/ { llm_pass t; }')->start;
    $fleet->offer(rate => 60, seconds => 70, path => '/few/v1/chat/completions',
        as => [ { client => 'c' } ]);
    my @r = $fleet->load->wait;
    my $judge = $fleet->judge;
    my @over = $judge->sliding(window => 60, limit => 60, slack => 3);

    ok((grep { $_->{status} == 429 } @r), 'more is asked for than is allowed');
    cmp_ok($judge->most(window => 60)->{''}, '>=', 60 * $n, '... and all of it used');
    is(scalar @over, $n - 1, $n == 1 ? 'one node keeps its limit' : 'two nodes together do not')
        or diag @over;
    my @log = $judge->log;
    cmp_ok($log[-1]{at} - $log[0]{at}, '>', 60, 'another minute began');
    check($_) for $fleet->nodes->nodes;
}

finish();
