# Conditions whose windows never have enough samples: a canary that fails all
# the same takes no further step, one that does not fail is not held up.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, workers => 2, conf => <<'EOC')->start;
    llm_zone t:16m;
    llm_provider blue { dialect openai; base_url http://127.0.0.1:%%UP%%/blue/v1; breaker off; }
    llm_provider sick { dialect openai; base_url http://127.0.0.1:%%UP%%/sick/v1; breaker off; }
    llm_provider well { dialect openai; base_url http://127.0.0.1:%%UP%%/well/v1; breaker off; }
    llm_split to_sick { variant blue blue 50%; variant green sick 50%; fallback green blue;
                        rollout green steps=50%,100% bake=300ms max_bake=3s soak=60s min_samples=5;
                        rollback error_rate>5% for=100ms window=200ms min=100000; }
    llm_split to_well { variant blue blue 50%; variant green well 50%; fallback green blue;
                        rollout green steps=50%,100% bake=300ms max_bake=60s soak=60s min_samples=5;
                        rollback error_rate>5% for=100ms window=200ms min=100000; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /sick/  { llm_pass to_sick; }
        location /well/  { llm_pass to_well; }
        location /admin/ { llm_admin; }
    }
EOC

$gw->expect_log(qr/llm attempt/);
$up->on('/sick/*' => reply(500, {}, '{"error":{"message":"no"}}'));
$up->on($_ => ok_chat('{"a":1}')) for '/blue/*', '/well/*';

sub start {
    my ($name) = @_;
    return $gw->http(POST => "/admin/splits/to_$name/start", { 'Content-Type' => 'application/json' }, '{}')->status;
}

# asks until a split is as wanted
sub drive {
    my ($name, $done) = @_;
    my ($d, %status);
    my $until = now() + 20 * $Test::LLM::Gateway::SLOW;

    do {
        $status{ chat($gw, 'm', path => "/$name/v1/chat/completions")->status }++;
        $d = $gw->get("/admin/splits/to_$name")->json;
    } until $done->($d) || now() > $until;

    is_deeply([keys %status], [200], "$name: all were answered");
    return $d;
}

is(start('sick'), 200, 'sick: started');

my $d = drive('sick', sub { "@{$_[0]{rollout}{waiting_for}}" =~ /^(?:triggers|resume)?$/ });
is_deeply($d->{rollout}{waiting_for}, ['triggers'], 'sick: what the step waits for');
is($d->{triggers}[0]{evidence}, 'insufficient', '... with too few for the condition');

$d = drive('sick', sub { $_[0]{state} ne 'progressing' });
is($d->{state}, 'paused', 'sick: paused');
is($d->{rollout}{why}, 'inconclusive', '... as inconclusive');
is_deeply($d->{weights}, { blue => 50, green => 50 }, '... no step was taken');

is(start('well'), 200, 'well: started');

$d = drive('well', sub { $_[0]{state} ne 'progressing' });
is($d->{state}, 'soaking', 'well: all the way');
is($d->{triggers}[0]{evidence}, 'insufficient', '... with too few for the condition');

finish();
