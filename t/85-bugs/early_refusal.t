# A provider that refuses a large body before it has come, and hangs up: what it
# said counts, not that the rest could not be sent.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001', KEY_B => 'sk-beta-000001' }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_key_pool two { select in_order; cooldown off; key env:KEY_A name=one; key env:KEY_B name=other; }
    llm_provider a { base_url http://127.0.0.1:%%UP%%/v1; keys two; breaker off; }
    server {
        listen 127.0.0.1:%%PORT%%;
        client_max_body_size 8m;
        llm_retry 1 backoff=1ms..2ms;
        location /v1/ { llm_pass a; }
    }
EOC

my $big = chat_body('m', messages => [ { role => 'user', content => 'x' x (2 << 20) } ]);
my %seen;
for (1 .. 20) {
    $up->reset;
    $up->on('/v1/*' => [ 'early', [ status => 413 ], [ json => '{"error":{"message":"too long"}}' ], 'fin' ]);
    my $r = $gw->http(POST => '/v1/chat/completions', {}, $big);
    $seen{ $r->status . ' after ' . $r->header('x-llm-attempts') }++;
}
is(to_json(\%seen), '{"413 after 1":20}', 'a refusal is heard at the first attempt');

finish();
