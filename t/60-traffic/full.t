# An nginx without a connection to spare fails requests by itself: no variant is
# to blame for that.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $chat = '/v1/chat/completions';
my $failed = 0;

# a client has one connection, a request under way two: whether the client or
# the provider finds none depends on an odd one

for my $connections (20, 21) {
    $up->reset;
    $up->on('/*' => [ [ barrier => 'full' ], @{ ok_chat('x') } ]);

    my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port },
                                     events => "worker_connections $connections;", conf => <<'EOC');
    llm_zone t:16m;
    llm_provider up { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; }
    llm_split s { variant one up 100%; variant two up 0%; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /v1/ { llm_pass s; }
        location /admin/ { llm_admin; }
    }
EOC
    $gw->expect_log(qr/worker_connections are not enough/);
    $gw->start;

    my @clients;
    for (1 .. $connections) {
        push @clients, my $c = $gw->request(POST => $chat, {}, chat_body('m'), timeout => 30);
        my $before = $up->waiting('full');
        run_all(5, $c, sub { $c->status || $up->waiting('full') > $before || $gw->log =~ /not enough/ });
        next unless $gw->log =~ /not enough/;
        run_all(1, $c, sub { $c->status });
        last;
    }

    my ($refused) = grep { $_->status } @clients;
    $up->release('full');
    my @waiting = grep { !$_->status } @clients;
    run_all(10, @waiting);

    if ($refused) {
        $failed++;
        is($refused->status . $refused->header('x-llm-error'), '500gateway_error', 'no connection to the provider');
    }

    my ($v) = grep { $_->{name} eq 'one' } @{ $gw->get('/admin/splits/s')->json->{variants} };
    is($v->{totals}{errors}, 0, "$connections connections: no error of the variant");
    is($v->{totals}{uncounted}, $refused ? 1 : 0, '... nor anything else');
    check($gw);
}

is($failed, 1, 'one of them was short of a connection to the provider');

finish();
